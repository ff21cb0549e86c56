"""A model of Telmo for MLServer: requests of BYTES, answered by the JSON of each prediction."""

import asyncio
import json

from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceResponse

from models.predictions import to_json
from models.predictor import Predictor


class TelmoRuntime(MLModel):
    async def load(self):
        self.predictor = Predictor.load(self.settings.parameters.uri)
        self.predictor.predict([self.predictor.description.example])
        return True

    async def predict(self, payload):
        texts = StringCodec.decode_input(payload.inputs[0])
        # In a thread, so that the next batch gathers meanwhile.
        found = await asyncio.to_thread(self.predictor.predict, texts)
        answers = [json.dumps(to_json(prediction)) for prediction in found]
        return InferenceResponse(model_name=self.name, outputs=[StringCodec.encode_output("predictions", answers)])
