// Results as JSON: one object with "format": 1, whole digests, times as RFC 3339 in UTC, sizes in
// bytes, null for what is absent. A contract, in docs/cli.md: fields are added, never changed or
// removed, without a new format number.
#pragma once

#include <string>

#include "updater/hostctl/view.h"

namespace hostos {

inline constexpr int kJsonFormat = 1;

std::string StatusJson(const StatusView& view);
std::string CheckJson(const CheckView& view);
std::string PlanJson(const PlanView& view);
std::string HealthJson(const HealthView& view);
std::string HistoryJson(const HistoryView& view);
std::string VerifyJson(const VerifyView& view);

}  // namespace hostos
