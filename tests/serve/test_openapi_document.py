"""What the OpenAPI document says of every route is tried by schemathesis."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import sampled_from
from reference.fake_service import FakeService
from reference.listening import listening, protocols_app
from reference.telmo_serve import telmo_serve
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


OPTIONS = settings(
    max_examples=10, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


def hold(address, models):
    """Try every operation of the document of a server that has these models."""
    document = schemathesis.openapi.from_url(f"http://{address}/openapi.json")
    operations = [result.ok() for result in document.get_all_operations()]
    for operation in operations:

        @OPTIONS
        @given(case=operation.as_strategy(), model=sampled_from(models))
        def holds(case, model):
            # Of a model that is there more can be asked.
            for field in {"model", "name"} & set(case.path_parameters):
                case.path_parameters[field] = model
            response = case.call(timeout=120)
            # A deadline of the caller's own that has passed is no mistake of the server's.
            passed = response.status_code == 504 and "no answer within" in response.text
            case.validate_response(response, checks=CHECKS[1:] if passed else CHECKS)

        holds()
    assert len(operations) > 20


def test_every_route_does_as_the_document_says():
    with listening(protocols_app(FakeService())) as address:
        hold(address, ["kinds"])


@pytest.mark.slow
def test_every_route_of_a_real_server_does_as_its_document_says(house, model_folders):
    with telmo_serve(house, *model_folders.values(), "--log-level", "error") as server:
        hold(server.address, ["tiny-classification", "tiny-tagging"])
