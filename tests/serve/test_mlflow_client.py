"""MLflow's own clients, as they are."""

import pandas as pd
import pytest
from mlflow.deployments import get_deploy_client
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from reference.fake_service import MODELS, FakeService
from reference.listening import listening, protocols_app


@pytest.fixture(scope="module")
def client():
    with listening(protocols_app(FakeService())) as address:
        yield get_deploy_client(f"http://{address}")


def test_the_deployment_client_lists_the_models(client):
    endpoints = client.list_endpoints()
    assert [endpoint.name for endpoint in endpoints] == ["kinds", "names", "dates", "same"]
    assert endpoints[0].endpoint_url == f"{client.target_uri}/endpoints/kinds/invocations"


def test_the_deployment_client_finds_a_model(client):
    endpoint = client.get_endpoint("names")
    assert (endpoint.name, endpoint.endpoint_type) == ("names", "telmo/tagging")


@pytest.mark.parametrize(
    "inputs",
    [
        {"inputs": ["Ada met Bob"]},
        {"dataframe_split": pd.DataFrame({"text": ["Ada met Bob"]}).to_dict(orient="split")},
        {"dataframe_records": [{"text": "Ada met Bob"}]},
    ],
)
def test_the_deployment_client_predicts(client, inputs):
    (prediction,) = client.predict(endpoint="names", inputs=inputs)["predictions"]
    assert prediction["tags"] == ["B-NAME", "O", "B-NAME"]


def test_the_deployment_client_is_told_of_a_model_that_is_not_there(client):
    with pytest.raises(Exception, match="no model 'nobody'"):
        client.predict(endpoint="nobody", inputs={"inputs": ["a"]})
    with pytest.raises((MlflowException, OSError), match="no model 'nobody'"):
        client.get_endpoint("nobody")


def test_the_client_of_the_scoring_server_needs_no_name_for_a_sole_model():
    with listening(protocols_app(FakeService(MODELS[2:3]))) as address:
        client = ScoringServerClient(*address.split(":"))
        client.wait_server_ready()
        assert client.get_version()
        answer = client.invoke(pd.DataFrame({"text": ["Ada met Bob", "It rained"]}))
    assert [row["tags"] for row in answer["predictions"]] == [["B-NAME", "O", "B-NAME"], ["B-NAME", "O"]]
