"""Telmo's side of serving.py without a server: telmo_serving.py MODEL, which reads a job a line and answers by a line.

Both are JSON. The jobs, by `do`:

    rate     texts, batch, seconds         sentences a second, all texts in one call and anew until the time is over
    times    texts, size                   seconds of each call, of so many texts each
    answers  texts                         as the endpoint gives them
"""

import json
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from models.predictions import to_json
from models.predictor import Predictor


def rate(predictor, texts, batch, seconds):
    began, calls = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        predictor.predict(texts, batch_size=batch)
        calls += 1
    return calls * len(texts) / (time.perf_counter() - began)


def times(predictor, texts, size):
    seconds = []
    for first in range(0, len(texts), size):
        began = time.perf_counter()
        predictor.predict(texts[first : first + size], batch_size=size)
        seconds.append(time.perf_counter() - began)
    return seconds


def answers(predictor, texts):
    return [to_json(prediction) for prediction in predictor.predict(texts)]


def main(model):
    predictor = Predictor.load(model)
    for line in sys.stdin:
        job = json.loads(line)
        print(json.dumps(globals()[job.pop("do")](predictor, **job)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
