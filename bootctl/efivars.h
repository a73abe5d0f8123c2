// EFI variables of the boot loader (systemd's "Boot Loader Interface"), read through efivarfs.
// Nothing is ever written: what boots is decided by the names on the ESP alone.
#pragma once

#include <optional>
#include <string>

#include "updater/base/result.h"

namespace hostos {

// The string in variable `name` of the loader's vendor GUID, as UTF-8; absent when the variable or
// the directory does not exist. Each file is four bytes of attributes, then UTF-16LE.
Result<std::optional<std::string>> ReadLoaderVariable(const std::string& directory,
                                                      const std::string& name);

}  // namespace hostos
