"""Dockerfile, compose.yaml and kubernetes/ name the ports, paths, variables, user and packages that the server has."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires
from io import BytesIO
from pathlib import Path

import httpx
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image

from deploy.releases import Releases
from deploy.service import ROUTES
from deploy.settings import Settings, ignored_names
from tests.bundles import tiny_image_bundle

HOUSE = Path(__file__).resolve().parents[2]
DEPLOY = HOUSE / "deploy"
LINES = re.sub(r"\\\n\s*", " ", re.sub(r"(?m)^#.*\n", "", (DEPLOY / "Dockerfile").read_text())).splitlines()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
KINDS = {
    document["kind"]: document
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
}
POD = KINDS["Deployment"]["spec"]["template"]
CONTAINER = POD["spec"]["containers"][0]
SERVER = COMPOSE["services"]["server"]


# A server to which every package that the image lacks is missing.
BARE = """
import importlib.metadata, sys
owners = importlib.metadata.packages_distributions()
class Missing:
    def find_spec(self, name, path=None, target=None):
        found = {{owner.lower().replace("_", "-") for owner in owners.get(name.partition(".")[0], [])}}
        if found and not found & {{*{allowed}}}:
            raise ModuleNotFoundError("the image has no " + name, name=name)
sys.meta_path.insert(0, Missing())
import tasks.modalities.text.encode
from deploy.service import main
sys.exit(main())
"""


def said(instruction: str) -> list[str]:
    """What follows an instruction of the last stage, in their order."""
    last = max(place for place, line in enumerate(LINES) if line.startswith("FROM "))
    return [line.removeprefix(instruction).strip() for line in LINES[last:] if line.startswith(f"{instruction} ")]


IMAGE = dict(part.split("=", 1) for part in shlex.split(said("ENV")[0]))
PORT = int(said("EXPOSE")[0])
USER = said("USER")[0]


def installed() -> set[str]:
    """Packages of the image: those listed, and what they need by their own word."""
    lines = (DEPLOY / "requirements.txt").read_text().splitlines()
    found: set[str] = set()
    waiting = [line for line in lines if line and not line.startswith("#")]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found:
            continue
        found.add(name)
        needs = [Requirement(text) for text in requires(name) or []]
        waiting += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return found


def probes() -> Iterator[tuple[str, str]]:
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        yield name, CONTAINER[name]["httpGet"]["path"]


def test_image_sets_what_the_server_reads() -> None:
    assert ignored_names(IMAGE) == []
    settings = Settings.from_environment(IMAGE)
    assert (settings.listen_host, settings.listen_port) == ("0.0.0.0", PORT)
    assert {IMAGE["GRAFT_RELEASES"], settings.log_folder} == set(yaml.safe_load(said("VOLUME")[0]))
    assert yaml.safe_load(said("ENTRYPOINT")[0])[-3:] == ["python", "-m", "deploy.service"]


def test_image_runs_as_nobody_in_particular() -> None:
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", USER), "a number, so that runAsNonRoot can be checked"


def test_health_of_the_image_is_asked_where_the_server_answers() -> None:
    (check,) = said("HEALTHCHECK")
    program = yaml.safe_load(check[check.index("CMD") + 3 :])[-1]
    compile(program, "HEALTHCHECK", "exec")
    assert re.findall(r"127\.0\.0\.1:\{os\.environ\[\"GRAFT_LISTEN_PORT\"\]\}(/\w+)'", program) == ["/readyz"]


def test_image_installs_what_the_server_loads_and_pins_it() -> None:
    listed = [line for line in (DEPLOY / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]
    assert set(listed) <= {Requirement(one).name for one in project["dependencies"]}
    pinned = {
        canonicalize_name(line.split("==")[0])
        for line in (HOUSE / "requirements.lock").read_text().splitlines()
        if "==" in line
    }
    assert installed() <= pinned, "requirements.lock pins every package of the image"
    install = next(line for line in LINES if "install" in line and "requirements.txt" in line)
    assert "-c requirements.lock -r requirements.txt" in install


def test_packages_of_the_image_are_enough_for_the_server(tmp_path: Path) -> None:
    releases = Releases(tmp_path / "releases")
    releases.promote(releases.add(tiny_image_bundle(tmp_path / "bundle")), "test", {})
    environment = {**os.environ, "GRAFT_RELEASES": str(releases.folder), "GRAFT_LISTEN_PORT": "0", "GRAFT_THREADS": "1"}
    code = BARE.format(allowed=sorted(installed() | {"graft"}))
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, cwd=HOUSE) as server:
        assert server.stdout
        lines = (json.loads(line) for line in server.stdout)
        port = next(line for line in lines if line["message"] == "start")["address"].rpartition(":")[2]
        assert any(line["message"] == "ready" for line in lines)
        content = BytesIO()
        Image.new("RGB", (4, 4), "white").save(content, "PNG")
        answer = httpx.post(f"http://127.0.0.1:{port}/predict", files={"file": content.getvalue()})
        assert answer.json()["predictions"][0]["prediction"] == "bright"
        assert "graft_" in httpx.get(f"http://127.0.0.1:{port}/metrics").text
        server.terminate()
        server.communicate(timeout=30)
    assert server.returncode == 0 and list((releases.folder / "predictions").glob("*.parquet")), "the log is written"


def test_compose_starts_the_server_as_the_image_means_it() -> None:
    environment = IMAGE | SERVER["environment"]
    assert ignored_names(environment) == []
    settings = Settings.from_environment(environment)
    assert settings.threads == SERVER["cpus"]
    assert SERVER["user"] == USER and SERVER["read_only"] is True and SERVER["cap_drop"] == ["ALL"]
    assert [port.split(":")[-1] for port in SERVER["ports"]] == [str(settings.listen_port)]
    targets = {volume.split(":")[1]: volume.split(":")[2:] for volume in SERVER["volumes"]}
    assert targets == {IMAGE["GRAFT_RELEASES"]: ["ro"], settings.log_folder: []}
    assert int(SERVER["stop_grace_period"].removesuffix("s")) > settings.stop_seconds
    assert (DEPLOY / SERVER["build"]["context"] / SERVER["build"]["dockerfile"]).resolve() == DEPLOY / "Dockerfile"


def test_prometheus_asks_the_server_of_compose() -> None:
    mounted = COMPOSE["services"]["prometheus"]["volumes"][0].split(":")[0]
    (job,) = yaml.safe_load((DEPLOY / mounted).read_text())["scrape_configs"]
    assert job["metrics_path"] in ROUTES
    assert job["static_configs"] == [{"targets": [f"server:{PORT}"]}]


def test_kubernetes_starts_the_server_as_the_image_means_it() -> None:
    given = {entry["name"]: entry.get("value", "1") for entry in CONTAINER["env"]}
    settings = Settings.from_environment(IMAGE | given)
    assert ignored_names(IMAGE | given) == [] and POD["spec"]["enableServiceLinks"] is False
    assert [port["containerPort"] for port in CONTAINER["ports"]] == [settings.listen_port]
    assert {path for _, path in probes()} <= ROUTES
    assert dict(probes())["livenessProbe"] == "/livez" and dict(probes())["readinessProbe"] == "/readyz"
    assert POD["metadata"]["annotations"]["prometheus.io/path"] in ROUTES
    assert POD["metadata"]["annotations"]["prometheus.io/port"] == str(settings.listen_port)
    mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in CONTAINER["volumeMounts"]}
    assert mounts == {IMAGE["GRAFT_RELEASES"]: True, settings.log_folder: False, IMAGE["HOME"]: False}
    waits = int(CONTAINER["lifecycle"]["preStop"]["exec"]["command"][1])
    assert POD["spec"]["terminationGracePeriodSeconds"] > waits + settings.stop_seconds


def test_kubernetes_lets_the_server_do_no_more_than_it_needs() -> None:
    pod, container = POD["spec"]["securityContext"], CONTAINER["securityContext"]
    assert f"{pod['runAsUser']}:{pod['runAsGroup']}" == USER and pod["fsGroup"] == pod["runAsGroup"]
    assert pod["runAsNonRoot"] is True and pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["readOnlyRootFilesystem"] is True and container["allowPrivilegeEscalation"] is False
    assert container["capabilities"] == {"drop": ["ALL"]}
    assert POD["spec"]["automountServiceAccountToken"] is False


def test_kubernetes_objects_mean_the_same_server() -> None:
    labels = POD["metadata"]["labels"]
    name = KINDS["Deployment"]["metadata"]["name"]
    assert KINDS["Deployment"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert KINDS["Service"]["spec"]["selector"].items() <= labels.items()
    assert KINDS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    scaled = KINDS["HorizontalPodAutoscaler"]["spec"]
    assert (scaled["scaleTargetRef"]["kind"], scaled["scaleTargetRef"]["name"]) == ("Deployment", name)
    assert "replicas" not in KINDS["Deployment"]["spec"], "each apply would undo what the autoscaler did"
    assert scaled["minReplicas"] > KINDS["PodDisruptionBudget"]["spec"]["minAvailable"], "else no node can be drained"
    assert KINDS["Service"]["spec"]["ports"][0]["targetPort"] in {port["name"] for port in CONTAINER["ports"]}
    claims = [v["persistentVolumeClaim"]["claimName"] for v in POD["spec"]["volumes"] if "persistentVolumeClaim" in v]
    assert claims == [KINDS["PersistentVolumeClaim"]["metadata"]["name"]]
    there = {path.name for path in (DEPLOY / "kubernetes").glob("*.yaml")} - {"kustomization.yaml"}
    assert set(KINDS["Kustomization"]["resources"]) == there
    assert CONTAINER["image"] == KINDS["Kustomization"]["images"][0]["name"] == SERVER["image"]
