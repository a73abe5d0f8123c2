// Whether the network costs by the volume it carries.
#pragma once

#include <optional>
#include <string>

#include "updater/health/systemd.h"

namespace hostos {

struct Metering {
  std::optional<bool> metered;  // absent: not known
  std::string detail;           // who says so, or why it is not known
};

// What NetworkManager says, on the message bus at `address`. systemd-networkd knows no such thing.
Metering AskMetering(const std::string& address = kSystemBus, Milliseconds limit = Seconds(5));

}  // namespace hostos
