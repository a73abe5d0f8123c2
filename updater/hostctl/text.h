// Results for people: whole texts, ready for standard output.
#pragma once

#include <string>

#include "updater/hostctl/format.h"
#include "updater/hostctl/view.h"

namespace hostos {

std::string StatusText(const StatusView& view, const Paint& paint);
// The result of a self-test of the boot loader, or what it waits for, on one line.
std::string SelfTestText(const SelfTest& test);
// For a disk with the same partitions as this node's: what that means, and what to do.
std::string TwinText(const std::string& disk);
// `status --why`: every release that was given up here, with all details.
std::string WhyText(const StatusView& view, const Paint& paint);
std::string CheckText(const CheckView& view);
std::string PlanText(const PlanView& view);
std::string HealthText(const HealthView& view, const Paint& paint);
std::string HistoryText(const HistoryView& view);
std::string VerifyText(const VerifyView& view, const Paint& paint);

}  // namespace hostos
