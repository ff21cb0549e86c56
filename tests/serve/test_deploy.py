"""What is deployed agrees with the command line, the application and itself."""

import json
import re
import shlex

import pytest
import typer
import yaml
from fastapi.testclient import TestClient

from pipeline.cli import app as command_line
from serve.options import ServeOptions
from serve.supervisor import SPARE


@pytest.fixture(scope="module")
def dockerfile(house):
    """The instructions of the image that is built last, and their arguments."""
    text = (house / "serve" / "deploy" / "Dockerfile").read_text("utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.M).replace("\\\n", " ")
    return [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def image(dockerfile):
    last = max(k for k, (name, _) in enumerate(dockerfile) if name == "FROM")
    return dict(dockerfile[last:])


@pytest.fixture(scope="module")
def manifest(house):
    text = (house / "serve" / "deploy" / "kubernetes.yaml").read_text("utf-8")
    return {one["kind"]: one for one in yaml.safe_load_all(text)}


@pytest.fixture(scope="module")
def pod(manifest):
    return manifest["Deployment"]["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def container(pod):
    (container,) = pod["containers"]
    return container


@pytest.fixture(scope="module")
def parsed(image, container):
    """What the command line makes of the image's command with the pod's arguments."""
    telmo, serve, *arguments = json.loads(image["ENTRYPOINT"])
    assert (telmo, serve) == ("telmo", "serve")
    command = typer.main.get_command(command_line).commands["serve"]
    return command.make_context("serve", [*arguments, *container["args"]]).params


def test_the_command_line_takes_the_arguments(parsed):
    assert parsed["models"] == ["models:/docs-library@champion"]
    assert parsed["host"] == "0.0.0.0" and parsed["log_format"] == "json"


def test_the_ports_agree(parsed, image, container, manifest):
    (port,) = container["ports"]
    assert parsed["port"] == int(image["EXPOSE"]) == port["containerPort"]
    assert f":{parsed['port']}/" in image["HEALTHCHECK"]
    assert manifest["Service"]["spec"]["ports"][0]["targetPort"] == port["name"]
    assert manifest["NetworkPolicy"]["spec"]["ingress"][0]["ports"][0]["port"] == port["name"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] == port["name"]


class Service:
    ready = True

    def models(self):
        return []


def test_the_probes_ask_what_is_there(image, container):
    from serve.app import build_app

    open_inference = pytest.importorskip("serve.open_inference")
    service = Service()
    client = TestClient(build_app(service, routers=[open_inference.router(service)]))
    paths = {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    paths.add(re.search(r"127\.0\.0\.1:\d+([^']*)'", image["HEALTHCHECK"])[1])
    assert paths == {"/v2/health/live", "/v2/health/ready"}
    known = client.get("/openapi.json").json()["paths"]
    assert paths <= set(known)


def test_the_server_may_finish_before_it_is_killed(parsed, pod, container):
    first = float(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > first + parsed["grace"] + SPARE


def test_the_keys_are_mounted_where_the_server_looks(parsed, pod, container):
    if "keys" not in {field for field in ServeOptions.__dataclass_fields__}:
        pytest.skip("no keys")
    (mount,) = [one for one in container["volumeMounts"] if one["name"] == "keys"]
    assert str(parsed["keys"].parent) == mount["mountPath"] and mount["readOnly"]
    assert "telmo-keys" in [one["secret"]["secretName"] for one in pod["volumes"] if "secret" in one]


def test_nothing_runs_as_root_or_writes_outside_its_folder(image, pod, container):
    user, group = map(int, image["USER"].split(":"))
    security = pod["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"], security["runAsNonRoot"]) == (user, group, True)
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    writable = [one["mountPath"] for one in container["volumeMounts"] if not one.get("readOnly")]
    assert writable == ["/tmp"]
    places = dict(one.split("=", 1) for one in shlex.split(image["ENV"]))
    assert all(places[name].startswith("/tmp") for name in ("HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR"))
    assert image["WORKDIR"] == "/tmp"


def test_the_server_is_process_one_and_gets_the_signal(image):
    # The form of a list has no shell in between.
    assert isinstance(json.loads(image["ENTRYPOINT"]), list) and image["STOPSIGNAL"] == "SIGTERM"


def test_the_image_has_all_packages_pinned_and_all_folders(dockerfile, house):
    lines = [" ".join(line) for line in dockerfile]
    assert any("--require-hashes -r requirements.txt" in line for line in lines)
    ignored = (house / "serve" / "deploy" / "Dockerfile.dockerignore").read_text("utf-8").split()
    copied = {word for line in lines if line.startswith("COPY") and "--from" not in line for word in line.split()[1:-1]}
    assert copied == {word[1:] for word in ignored if word.startswith("!")}
    for name in copied:
        assert (house / name).exists()


def test_what_selects_pods_selects_these(manifest):
    labels = manifest["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        manifest["Deployment"]["spec"]["selector"]["matchLabels"],
        manifest["Service"]["spec"]["selector"],
        manifest["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        manifest["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ]
    assert all(one == labels for one in selectors)
    target = manifest["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert target["name"] == manifest["Deployment"]["metadata"]["name"]
