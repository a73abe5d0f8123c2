// This system's metrics for monitoring, in Prometheus's text exposition format (0.0.4), as
// node_exporter's textfile collector reads it. docs/operations.md lists them.
#pragma once

#include <span>
#include <string>

#include "updater/engine/status.h"

namespace hostos {

std::string MetricsText(const Status& status, std::span<const tuf::TrustedRole> trusted);

// Writes /run/hostos/metrics.prom from the present state.
Result<> WriteMetrics(World& world);

}  // namespace hostos
