#include "images/image_format.h"

#include <algorithm>
#include <array>
#include <ranges>
#include <vector>

#include "updater/base/text.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

constexpr size_t kFooter = 512;  // of a VHD

auto Made() {
  return kImageFormats | std::views::filter([](const ImageFormatFacts& facts) {
           return facts.format != ImageFormat::kRaw;
         });
}

}  // namespace

std::string MadeFormats() {
  std::vector<std::string> names;
  for (const ImageFormatFacts& facts : Made()) names.emplace_back(facts.name);
  return Joined(names);
}

std::optional<ImageFormat> ImageFormatNamed(std::string_view name) {
  for (const ImageFormatFacts& facts : Made())
    if (facts.name == name) return facts.format;
  return std::nullopt;
}

Result<std::optional<ImageFormat>> ReadImageFormat(int file) {
  std::array<std::byte, 8192> buffer;
  const size_t size = TRY(PreadFull(file, buffer, 0));
  const std::string_view head(reinterpret_cast<const char*>(buffer.data()), size);
  const auto has = [&](size_t at, std::string_view magic) {
    return head.size() >= at && head.substr(at).starts_with(magic);
  };
  if (has(0, "\x28\xb5\x2f\xfd")) return ImageFormat::kRawZst;
  if (has(0, "QFI\xfb")) return ImageFormat::kQcow2;
  if (has(0, "vhdxfile")) return ImageFormat::kVhdx;
  if (has(0, "KDMV")) return ImageFormat::kVmdk;
  if (has(0, "\x1f\x8b")) return ImageFormat::kWsl;
  if (has(257, "ustar")) return ImageFormat::kOci;
  const off_t end = ::lseek(file, 0, SEEK_END);
  if (end >= static_cast<off_t>(kFooter)) {
    std::array<std::byte, 8> footer{};
    (void)TRY(PreadFull(file, footer, static_cast<uint64_t>(end) - kFooter));
    if (std::ranges::equal(footer, AsBytes("conectix"))) return ImageFormat::kVhd;
  }
  if (has(512, "EFI PART") || has(4096, "EFI PART")) return ImageFormat::kRaw;
  return std::nullopt;
}

Result<ImageFormat> CheckImageFormat(const std::string& path, int file) {
  const auto named = std::ranges::find_if(
      kImageFormats, [&](const ImageFormatFacts& facts) { return path.ends_with(facts.suffix); });
  if (named == std::end(kImageFormats)) {
    std::string suffixes;
    for (const ImageFormatFacts& facts : kImageFormats)
      suffixes += std::format(" {}", facts.suffix);
    return Fail(Code::kUsage, "{}: expected a name that ends with one of{}", path, suffixes);
  }
  const std::optional<ImageFormat> found = TRY_CONTEXT(path, ReadImageFormat(file));
  if (found == named->format) return named->format;
  return Fail(Code::kNotTrusted,
              "{}: expected {}, as its name says, found {}: it has another name than it was "
              "published with, or was cut short",
              path, named->name, found ? FactsOf(*found).name : "none of the formats");
}

}  // namespace hostos
