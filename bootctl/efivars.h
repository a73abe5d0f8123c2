// Reads EFI variables through efivarfs: those of the boot loader (systemd's "Boot Loader
// Interface"), of systemd and of the firmware. Writes none: only the names on the ESP decide what
// boots.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "updater/base/result.h"

namespace hostos {

inline constexpr char kLoaderVendor[] = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
inline constexpr char kSystemdVendor[] = "8cf2644b-4b0b-428f-9387-6d876050dc67";

// The string in variable `name`, as UTF-8; absent when the variable or the directory does not
// exist. Each file holds four bytes of attributes, then UTF-16LE.
Result<std::optional<std::string>> ReadLoaderVariable(const std::string& directory,
                                                      const std::string& name,
                                                      const char* vendor = kLoaderVendor);

// Whether a firmware boot entry (Boot0000 to BootFFFF, UEFI specification "EFI Boot Manager")
// contains these bytes. An entry contains the UUID of the partition it starts from.
Result<bool> FirmwareNames(const std::string& directory, std::span<const std::byte> bytes);

}  // namespace hostos
