"""What an image says that it can do, by labels (I-14), and who pulls it (H-33). Pure."""

PREFIX = "com.amazonaws.sagemaker.capabilities."
BIND_TO_PORT = f"{PREFIX}accept-bind-to-port"  # H-31
MULTI_MODELS = f"{PREFIX}multi-models"  # H-35
BIDIRECTIONAL = f"{PREFIX}bidirectional-streaming"  # H-47
ALL = (BIND_TO_PORT, MULTI_MODELS, BIDIRECTIONAL)
CLAIMED = "true"

PRINCIPAL = "sagemaker.amazonaws.com"
