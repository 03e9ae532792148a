"""The example's pipeline declared a second time: one subproject per route instead of one per airline."""

from collections import Counter

import pandas as pd

from mlops_assets import Project, Subproject
from projects.flight_delays.pipeline import FLIGHTS, CarrierConfig, FlightDelays

flown = pd.read_parquet(FLIGHTS, columns=["origin", "dest"])
ROUTES = Counter(zip(flown["origin"], flown["dest"], strict=True))


def route(origin: str, dest: str) -> Subproject:
    config = CarrierConfig(origin=origin, dest=dest, registered_planes=False)
    return Subproject(f"{origin}-{dest}", config, tags={"origin": origin}, params={"min_samples_leaf": 20})


routes = [route(*airports) for airports, flights in ROUTES.most_common() if flights >= 50]
project = Project(name="routes", pipeline=FlightDelays(), subprojects=routes)
