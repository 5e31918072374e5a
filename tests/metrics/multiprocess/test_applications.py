"""Who shares a folder: the processes of one application, each of which counts once."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from metrics import render
from metrics.multiprocess import Workers, register_process_collector
from metrics.multiprocess.file_layout import archive_name
from metrics.subscription.subscribe import subscribe
from tests.support.counter_worker import ROWS, LocalWorker, count_call, file_names
from tests.support.forks import in_child


def test_a_process_that_subscribes_again_after_it_was_forked_counts_once(
    folder: Path, here: LocalWorker, caplog: pytest.LogCaptureFixture
) -> None:
    """As an application that is loaded before its server forks, and subscribes in each worker too."""
    count_call()

    def subscribe_again() -> object:
        count_call()  # in the subscription that the fork inherited
        with LocalWorker(folder) as again:
            count_call()
            count_call("another")  # whose series neither has yet
            return (
                {*again.calls()},
                {*here.calls()},
                {*again.calls("another")},
                [line for line in caplog.messages if str(folder) in line],
            )

    found = in_child(subscribe_again)
    said = (
        f"the folder for metrics {folder}: this process subscribed before it was forked, and again after that. What the"
        " first subscription counts is not shared from now on, so that nothing is counted twice: subscribe either"
        " before the fork or after it"
    )
    assert found == str(({3.0}, {3.0}, {1.0}, [said]))
    assert set(here.calls()) == {3.0}
    assert set(here.calls("another")) == {1.0}


def test_a_histogram_that_is_subscribed_again_with_other_bounds_is_not_counted_twice(folder: Path) -> None:
    before = Workers(folder)
    inherited, _ = before.create_instruments(Histogram, "took", "t", ["who"], "total", buckets=(1, 2, 5))
    inherited.labels("a").observe(4)

    def create_again() -> float:
        after = Workers(folder)
        histogram, total = after.create_instruments(Histogram, "took", "t", ["who"], "total", buckets=(3,))
        for each in (inherited, histogram):
            each.labels("a").observe(2)
        after.collect()
        [count] = [sample.value for sample in next(iter(total.collect())).samples if sample.name == "took_count"]
        return float(count)

    assert in_child(create_again) == "2.0"  # one of the first process
    before.close()


def test_a_gauge_of_the_first_subscription_is_not_added_to_that_of_the_second(folder: Path) -> None:
    before = Workers(folder)
    inherited, _ = before.create_instruments(Gauge, "depth", "d", ["queue"], "livesum")
    inherited.labels("a").set(5)

    def create_again() -> float:
        inherited.labels("a").set(3)
        after = Workers(folder)
        gauge, total = after.create_instruments(Gauge, "depth", "d", ["queue"], "livesum")
        inherited.labels("a").set(4)
        gauge.labels("a").set(4)
        after.collect()
        value: float = next(iter(total.collect())).samples[0].value
        return value

    assert in_child(create_again) == "9.0"  # 5 of the first process
    before.close()


def test_subscriptions_of_other_rows_before_and_after_a_fork_are_both_shared(
    folder: Path, here: LocalWorker, caplog: pytest.LogCaptureFixture
) -> None:
    def subscribe_to_others() -> object:
        other = Workers(folder, application="sparklio")
        local, total = other.create_instruments(Counter, "others", "o", [], "total")
        local.inc()
        count_call()
        other.collect()
        return (
            next(iter(total.collect())).samples[0].value,
            {*here.calls()},
            [line for line in caplog.messages if str(folder) in line],
        )

    assert in_child(subscribe_to_others) == "(1.0, {1.0}, [])"


class Application:
    """An application with a folder for its workers: rows of its own namespace, and the figures of its process."""

    def __init__(self, folder: Path, namespace: str) -> None:
        self.registry = CollectorRegistry()
        self.workers = Workers(folder)
        register_process_collector(self.workers, self.registry, ProcessCollector(registry=CollectorRegistry()))
        self.subscription = subscribe(ROWS, self.registry, namespace=namespace, workers=self.workers)

    def close(self) -> None:
        """End the subscription and leave the workers."""
        self.subscription.close()
        self.workers.close()


def test_two_applications_in_one_folder_show_their_own_numbers(folder: Path, faults: list[str]) -> None:
    """Of families that both have under the same name too, and of processes that are gone."""
    shop, office = Application(folder, "shop"), Application(folder, "office")
    count_call()
    lone = CollectorRegistry()
    ProcessCollector(registry=lone)
    for application, name, other in ((shop, "shop", "office"), (office, "office", "shop")):
        text = render(application.registry).decode()
        assert f'{name}_llm_tokens_total{{model="m",token_type="prompt"}} 2.0\n' in text
        assert f"{other}_" not in text
        descriptors = application.registry.get_sample_value("process_max_fds")
        assert descriptors == lone.get_sample_value("process_max_fds")
    shop.close()
    for _ in range(2):
        assert "shop" not in render(office.registry).decode()
    shop = Application(folder, "shop")  # it goes on where it was
    assert 'shop_llm_tokens_total{model="m",token_type="prompt"} 2.0\n' in render(shop.registry).decode()
    assert archive_name("shop") in file_names(folder)
    assert archive_name("office") not in file_names(folder)
    shop.close()
    office.close()
    assert faults == []


def test_applications_of_one_namespace_have_names(folder: Path) -> None:
    registries = []
    for name in ("shop", "office"):
        registries.append(CollectorRegistry())
        workers = Workers(folder, application=name)
        counted, total = workers.create_instruments(Counter, "calls", "c", [], "total")
        workers.attach(registries[-1], "acme")
        registries[-1].register(total)
        counted.inc(len(name))
    assert [registry.get_sample_value("calls_total") for registry in registries] == [4, 6]


def test_applications_of_one_process_and_one_namespace_are_apart(folder: Path) -> None:
    """Each has workers of its own, and both a folder."""
    registries = []
    for name in ("shop", "the office"):
        registry = CollectorRegistry()
        registries.append(registry)
        workers = Workers(folder)
        with subscribe(ROWS, registry, namespace="acme", workers=workers, application=name):
            counted, total = workers.create_instruments(Counter, "calls", "c", [], "total")
            registry.register(total)
            counted.inc(len(name))
    assert [registry.get_sample_value("calls_total") for registry in registries] == [4, 10]
    assert archive_name("acme-the_office").startswith("gone-acme-the_office")


@pytest.mark.parametrize("name", ["a/b", "..\n", "é", "x" * 101])
def test_a_name_of_an_application_that_cannot_be_in_that_of_a_file_is_refused(name: str, folder: Path) -> None:
    with pytest.raises(ValueError, match=r"write up to 100 letters, digits and _ : . -"):
        Workers(folder, application=name)


def test_a_process_that_died_before_it_was_known_whose_it_is_leaves_nothing(folder: Path, here: LocalWorker) -> None:
    died = Workers(folder)
    died.create_instruments(Counter, "calls", "c", [], "total")[0].inc()
    died.close()
    with LocalWorker(folder):
        assert len(file_names(folder)) == 3  # theirs, and one archive
    assert here.calls() == (0.0,) * 4


def test_a_file_of_somebody_else_is_left_alone(folder: Path, here: LocalWorker) -> None:
    """It is no file of a process of ours, though it ends as one."""
    (folder / "conveyor.worker").write_text("mine")
    with LocalWorker(folder):
        pass
    assert here.calls() == (0.0,) * 4
    assert (folder / "conveyor.worker").read_text() == "mine"
