// Unified kernel images: kernel, initrd and the kernel command line, which binds those of a release
// to one root hash, made by ukify around systemd's EFI stub. The same inputs give the same bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "updater/base/release.h"
#include "updater/base/result.h"

namespace hostos {

struct UkiInputs {
  std::string kernel;          // path
  std::string kernel_version;  // becomes .uname
  std::string initrd;          // path
  std::string os_release;      // path
  std::string stub;            // path; empty: the build machine's, for `architecture`
  std::string architecture;    // "x86-64" or "arm64"
  std::string command_line;
};

// What every release boots with. `append` is added at the end; one that names a root or a root hash
// of its own is refused (kUsage).
Result<std::string> KernelCommandLine(const Digest& root_hash, std::string_view append);

// The rescue's: its root is its initrd.
std::string RescueCommandLine();

Result<> BuildUki(const UkiInputs& inputs, const std::string& output);

// kNotTrusted unless the loader would offer this image as the release, and it boots its root hash.
Result<> CheckUki(int fd, const Release& release);

// "x64" or "aa64", as in EFI file names; kNotSupported for another architecture.
Result<std::string> EfiArchitecture(std::string_view architecture);

// The folder of systemd's EFI programs on the build machine.
inline constexpr std::string_view kEfiPrograms = "/usr/lib/systemd/boot/efi/";

}  // namespace hostos
