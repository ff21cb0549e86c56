"""What the OpenAPI document says of every route is tried by schemathesis."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from reference.fake_service import FakeService
from reference.listening import listening, protocols_app
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def document():
    with listening(protocols_app(FakeService())) as address:
        yield schemathesis.openapi.from_url(f"http://{address}/openapi.json")


def test_every_route_does_as_the_document_says(document):
    options = settings(
        max_examples=10, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    for operation in (result.ok() for result in document.get_all_operations()):

        @options
        @given(case=operation.as_strategy())
        def holds(case):
            # Of a model that is there more can be asked.
            for field in {"model", "name"} & set(case.path_parameters):
                case.path_parameters[field] = "kinds"
            case.call_and_validate(checks=CHECKS)

        holds()
