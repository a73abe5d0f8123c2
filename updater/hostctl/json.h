// Results as JSON: one object with "format": 1, whole digests, RFC 3339 times in UTC, sizes in
// bytes, and null for what is absent. docs/cli.md documents it as a contract: without a new format
// number, fields are only added, never changed or removed.
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
