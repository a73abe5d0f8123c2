#include "updater/hostctl/metrics.h"

#include <catch2/catch_test_macros.hpp>

#include "tests/hostctl/samples.h"

namespace hostos {
namespace {

TEST_CASE("metrics say what runs, how the last update ended and what was verified") {
  Status status = SampleFallback().status;
  status.last = status.fallback;
  status.update = SampleUpdate(Phase::kArmed);
  status.traffic = Traffic{41'200'000, 9, 40'000'000, 1};
  status.index_floor = 13;
  status.support = {.preview = true, .ends = 1'795'219'200};
  status.slots[0].verified = Verification{.time = kNow - 60, .problem = "block 12 differs"};
  status.slots[1].verified = Verification{.time = kNow};
  const std::vector<tuf::TrustedRole> trusted = {{"root", 1, kNow + 9}, {"timestamp", 7, kNow + 5}};
  CHECK(MetricsText(status, trusted) == R"(# HELP hostos_info What runs, and in which slot.
# TYPE hostos_info gauge
hostos_info{version="1.1.0",channel="stable",architecture="x86-64",slot="B"} 1
# HELP hostos_update_phase 1 for the phase that an update is in, or stopped in.
# TYPE hostos_update_phase gauge
hostos_update_phase{phase="fetch"} 0
hostos_update_phase{phase="write"} 0
hostos_update_phase{phase="prove"} 0
hostos_update_phase{phase="arm"} 0
hostos_update_phase{phase="armed"} 1
hostos_update_phase{phase="trial"} 0
# HELP hostos_update_last_outcome 1 for how the newest entry of the history ended.
# TYPE hostos_update_last_outcome gauge
hostos_update_last_outcome{outcome="committed"} 0
hostos_update_last_outcome{outcome="fell-back"} 1
hostos_update_last_outcome{outcome="rolled-back"} 0
hostos_update_last_outcome{outcome="degraded"} 0
# HELP hostos_update_last_time_seconds When that was.
# TYPE hostos_update_last_time_seconds gauge
hostos_update_last_time_seconds 1795218000
# HELP hostos_update_network_bytes What the update in progress, or else the last one, received.
# TYPE hostos_update_network_bytes gauge
hostos_update_network_bytes{in="delta-pack"} 40000000
hostos_update_network_bytes{in="other"} 1200000
# HELP hostos_update_network_requests In how many requests.
# TYPE hostos_update_network_requests gauge
hostos_update_network_requests{in="delta-pack"} 1
hostos_update_network_requests{in="other"} 8
# HELP hostos_index_floor No release with a smaller index is installed.
# TYPE hostos_index_floor gauge
hostos_index_floor 13
# HELP hostos_verify_ok 1 when the last verification proved the slot.
# TYPE hostos_verify_ok gauge
hostos_verify_ok{slot="A"} 0
hostos_verify_ok{slot="B"} 1
# HELP hostos_verify_time_seconds When the slot was verified last.
# TYPE hostos_verify_time_seconds gauge
hostos_verify_time_seconds{slot="A"} 1795225740
hostos_verify_time_seconds{slot="B"} 1795225800
# HELP hostos_metadata_expires_seconds When what is trusted of a role counts no more.
# TYPE hostos_metadata_expires_seconds gauge
hostos_metadata_expires_seconds{role="root"} 1795225809
hostos_metadata_expires_seconds{role="timestamp"} 1795225805
# HELP hostos_rescue_ok 0 when the rescue on the ESP should be another one.
# TYPE hostos_rescue_ok gauge
hostos_rescue_ok 1
# HELP hostos_preview 1 when what runs is not for production.
# TYPE hostos_preview gauge
hostos_preview 1
# HELP hostos_support_end_seconds When the support of what runs ends.
# TYPE hostos_support_end_seconds gauge
hostos_support_end_seconds 1795219200
)");
}

TEST_CASE("a label of a metric stays in its quotes whatever a boot entry says") {
  Status status = SampleStatus().status;
  status.version = "1\"\\\n2";
  CHECK(MetricsText(status, {}).contains(R"(hostos_info{version="1\"\\ 2",channel=)"));
}

}  // namespace
}  // namespace hostos
