"""The AWS account that things on this machine are named by."""

ACCOUNT = "000000000000"  # there is none: an ARN has the right shape and can be mistaken for no one's
