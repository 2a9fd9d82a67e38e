from cog import BasePredictor, Input, Path


class Predictor(BasePredictor):
    def setup(self, weights: Path | None = None) -> None:
        self.weights = weights

    def predict(self, image: Path, scale: float = Input(default=2.0)) -> Path:
        return image
