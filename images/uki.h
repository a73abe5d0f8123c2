// Makes unified kernel images with ukify, around systemd's EFI stub: kernel, initrd and kernel
// command line. In a release, the command line binds the image to one root hash. The same inputs
// give the same bytes.
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

// The command line of a release. `append` goes to the end; kUsage if it names its own root or root
// hash.
Result<std::string> KernelCommandLine(const Digest& root_hash, std::string_view append);

// The command line of the rescue, whose root is its initrd.
std::string RescueCommandLine();

Result<> BuildUki(const UkiInputs& inputs, const std::string& output);

// kNotTrusted unless the loader would offer this image as the release, and it boots the release's
// root hash.
Result<> CheckUki(int fd, const Release& release);

// "x64" or "aa64", as in EFI file names; kNotSupported for another architecture.
Result<std::string> EfiArchitecture(std::string_view architecture);

// The folder of systemd's EFI programs on the build machine.
inline constexpr std::string_view kEfiPrograms = "/usr/lib/systemd/boot/efi/";

}  // namespace hostos
