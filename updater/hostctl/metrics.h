// What monitoring wants to know of this system, in Prometheus's text exposition format (0.0.4), as
// node_exporter's textfile collector reads it. docs/operations.md lists the metrics.
#pragma once

#include <span>
#include <string>

#include "updater/engine/status.h"

namespace hostos {

std::string MetricsText(const Status& status, std::span<const tuf::TrustedRole> trusted);

// /run/hostos/metrics.prom, as things are now.
Result<> WriteMetrics(World& world);

}  // namespace hostos
