// The formats that people download a release in: what their files are called, and what their
// content says they are.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "updater/base/release.h"
#include "updater/base/result.h"

namespace hostos {

enum class ImageFormat { kRawZst, kQcow2, kVhd, kVhdx, kVmdk, kOci, kWsl, kRaw };

struct ImageFormatFacts {
  ImageFormat format;
  std::string_view name;    // for --format
  std::string_view suffix;  // of its files
  std::string_view qemu;    // qemu-img's name for it; empty: qemu-img does not know it
};

// In the order in which they are made. The last one is read, and not made: as `disk` writes it.
inline constexpr ImageFormatFacts kImageFormats[] = {
    {ImageFormat::kRawZst, "raw.zst", ".raw.zst", ""},
    {ImageFormat::kQcow2, "qcow2", ".qcow2", "qcow2"},
    {ImageFormat::kVhd, "vhd", ".vhd", "vpc"},
    {ImageFormat::kVhdx, "vhdx", ".vhdx", "vhdx"},
    {ImageFormat::kVmdk, "vmdk", ".vmdk", "vmdk"},
    {ImageFormat::kOci, "oci", ".oci.tar", ""},
    {ImageFormat::kWsl, "wsl", ".wsl", ""},
    {ImageFormat::kRaw, "raw", ".raw", "raw"},
};

inline const ImageFormatFacts& FactsOf(ImageFormat format) {
  return kImageFormats[static_cast<int>(format)];
}
inline bool IsDisk(ImageFormat format) {
  return format != ImageFormat::kOci && format != ImageFormat::kWsl;
}

// "raw.zst, qcow2, vhd, vhdx, vmdk, oci, wsl": what can be made.
std::string MadeFormats();
// One that can be made.
std::optional<ImageFormat> ImageFormatNamed(std::string_view name);

// By the first and last bytes of a file; absent when it is none of them.
Result<std::optional<ImageFormat>> ReadImageFormat(int file);

// The format that name and content of an image agree on. kUsage when the name belongs to no format,
// kNotTrusted when the content is not what the name says.
Result<ImageFormat> CheckImageFormat(const std::string& path, int file);

}  // namespace hostos
