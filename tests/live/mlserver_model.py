"""An MLServer model that knows nothing of tracebench."""

import time

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


class Sums(MLModel):  # type: ignore[misc] # it is not in our environment
    """Takes 3 ms."""

    async def load(self) -> bool:
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        time.sleep(0.003)
        total = float(NumpyCodec.decode_input(payload.inputs[0]).sum())
        output = ResponseOutput(name="sum", shape=[1], datatype="FP64", data=[total])
        return InferenceResponse(model_name=self.name, outputs=[output])
