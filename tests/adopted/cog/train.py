from cog import BaseModel, Input, Path


class Output(BaseModel):
    weights: Path


def train(data: Path, steps: int = Input(description="how long", default=100, ge=1), rate: float = 1e-3) -> Output:
    return Output(weights=data)
