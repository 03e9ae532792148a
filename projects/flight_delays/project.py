"""The project as code: one subproject per airline, and all that is declared about them. No pipeline code."""

from mlops_assets import (
    HPO,
    BetterThanBaseline,
    Canary,
    Categorical,
    Check,
    Cron,
    Float,
    Int,
    Message,
    ModelSize,
    NotWorseThanChampion,
    PredictionSanity,
    PredictLatency,
    Project,
    Retraining,
    SearchSpace,
    SliceFloor,
    Stage,
    Subproject,
    Threshold,
)
from projects.flight_delays.checks import residual_bias
from projects.flight_delays.pipeline import CarrierConfig, FlightDelays

# Airlines with 500 flights or more, by their number of flights: code, name, airport most of them leave from.
CARRIERS = [
    ("UA", "United", "EWR"),
    ("B6", "JetBlue", "JFK"),
    ("EV", "ExpressJet", "EWR"),
    ("DL", "Delta", "LGA"),
    ("AA", "American", "LGA"),
    ("MQ", "Envoy", "LGA"),
    ("US", "US Airways", "LGA"),
    ("9E", "Endeavor", "JFK"),
    ("WN", "Southwest", "EWR"),
    ("VX", "Virgin America", "JFK"),
    ("FL", "AirTran", "LGA"),
    ("AS", "Alaska", "EWR"),
    ("F9", "Frontier", "LGA"),
    ("YV", "Mesa", "LGA"),
]
OWN_PLANE_NUMBERS = {"AA", "MQ"}
FEW_FLIGHTS = {"AS", "F9", "YV"}


def subproject(carrier: str, airline: str, hub: str) -> Subproject:
    """One airline; with a few hundred flights only, folds must be larger and trees smaller."""
    few = carrier in FEW_FLIGHTS
    return Subproject(
        key=carrier,
        config=CarrierConfig(carrier=carrier, registered_planes=carrier not in OWN_PLANE_NUMBERS),
        tags={"airline": airline, "hub": hub, "size": "small" if few else "large"},
        search_space={"max_depth": Int(1, 4), "min_samples_leaf": Int(10, 60)} if few else {},
        hpo={"trials": 20, "folds": 3} if few else {},
    )


project = Project(
    name="flight_delays",
    pipeline=FlightDelays(),
    subprojects=[subproject(*row) for row in CARRIERS],
    search_space=SearchSpace(
        learning_rate=Float(0.01, 0.3, log=True),
        max_iter=Int(50, 400, step=25),
        max_depth=Int(2, 10),
        min_samples_leaf=Int(10, 200, log=True),
        l2_regularization=Float(0.1, 50.0, log=True),
        loss=Categorical(["squared_error", "absolute_error"]),
        weather=Categorical([True, False]),
    ),
    hpo=HPO(metric="rmse", direction="minimize", sampler="tpe", trials=40, folds=5, rule="one-standard-error"),
    gates=[
        Threshold("rmse", max=25.0),
        BetterThanBaseline("rmse"),
        NotWorseThanChampion("rmse", tolerance=0.02),
        SliceFloor("origin", "mae", max=20.0, min_rows=100, required=False),
        PredictionSanity(low=-180.0, high=2880.0),
        PredictLatency(1000.0, rows=100),
        ModelSize(5.0),
        Check(residual_bias),
    ],
    stages=[
        Stage("testing"),
        Stage(
            "production",
            retraining=Retraining(Cron("0 3 * * 1", timezone="America/New_York")),
            strategy=Canary(0.1, steps=[0.5], minutes=60.0),
        ),
    ],
    notifications=[
        Message("env:FLIGHT_DELAYS_MESSAGES", events=["gate_failed", "retraining_failed", "deployed", "rolled_back"])
    ],
)
