"""What NVIDIA's client, unmodified, gets from a server: python tritonclient_answers.py HOST:PORT REQUESTS

REQUESTS is a JSON list of {"model", "texts", and optionally "shape", "version", "binary", "outputs", "id", "timeout",
"parameters", "coding"}. Each is asked twice, with the client for threads and with the one for asyncio. Prints what the
server says of itself and a list of what each of both got: {"outputs": {name: values}, "response": ...} or {"error"}.
"""

import asyncio
import json
import sys

import numpy as np
import tritonclient.http
import tritonclient.http.aio
from tritonclient.utils import InferenceServerException


def arguments_of(module, request):
    """The arguments of `infer`."""
    shape = request.get("shape") or [len(request["texts"])]
    text = module.InferInput("text", shape, "BYTES")
    values = np.array([value.encode() for value in request["texts"]], dtype=np.object_).reshape(shape)
    text.set_data_from_numpy(values, binary_data=request.get("binary", True))
    outputs = [
        module.InferRequestedOutput(name, binary_data=request.get("binary", True), class_count=count)
        for name, count in request.get("outputs", [])
    ]
    return {
        "model_name": request["model"],
        "model_version": request.get("version", ""),
        "inputs": [text],
        "outputs": outputs or None,
        "request_id": request.get("id", ""),
        "timeout": request.get("timeout"),
        "parameters": request.get("parameters"),
        "request_compression_algorithm": request.get("coding"),
        "response_compression_algorithm": request.get("coding"),
    }


def told(result):
    """What a result holds."""
    response = result.get_response()
    found = {output["name"]: result.as_numpy(output["name"]) for output in response["outputs"]}
    # Strings of a binary tensor are bytes, those of JSON are not.
    decode = np.vectorize(lambda value: value.decode() if isinstance(value, bytes) else value, otypes=[object])
    return {
        "outputs": {
            name: (decode(values) if values.dtype == object else values).tolist() for name, values in found.items()
        },
        "response": {key: value for key, value in response.items() if key != "outputs"},
    }


def asked_by_threads(url, requests):
    with tritonclient.http.InferenceServerClient(url) as client:
        index = client.get_model_repository_index()
        about = {
            "live": client.is_server_live(),
            "ready": client.is_server_ready(),
            "server": client.get_server_metadata(),
            "index": index,
            "models": [client.get_model_metadata(entry["name"], entry["version"]) for entry in index],
            "models_ready": [client.is_model_ready(entry["name"], entry["version"]) for entry in index],
        }
        found = []
        for request in requests:
            try:
                found.append(told(client.infer(**arguments_of(tritonclient.http, request))))
            except InferenceServerException as error:
                found.append({"error": error.message(), "status": error.status()})
        return about, found


async def asked_by_asyncio(url, requests):
    async with tritonclient.http.aio.InferenceServerClient(url) as client:
        found = []
        for request in requests:
            try:
                found.append(told(await client.infer(**arguments_of(tritonclient.http.aio, request))))
            except InferenceServerException as error:
                found.append({"error": error.message(), "status": error.status()})
        return found


if __name__ == "__main__":
    url, requests = sys.argv[1], json.loads(sys.argv[2])
    about, threads = asked_by_threads(url, requests)
    print(json.dumps({"about": about, "threads": threads, "asyncio": asyncio.run(asked_by_asyncio(url, requests))}))
