#include "bootctl/uki.h"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <vector>

#include "bootctl/entry_name.h"
#include "bootctl/little_endian.h"
#include "bootctl/loader_lines.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

// PE/COFF layout: an "MZ" header with the offset of "PE\0\0" at 60; then the COFF header of 20
// bytes, the optional header, and 40 bytes per section.
constexpr size_t kDosHeader = 64, kPeHeader = 96, kOptionalHeader = 24, kSectionHeader = 40;
constexpr size_t kMostSection = 64 << 10;

struct Section {
  std::string name;     // up to 8 bytes, without the padding
  uint64_t offset = 0;  // in the file
  uint64_t size = 0;    // on disk, padding included
  uint64_t virtual_size = 0;
};

struct Image {
  uint16_t machine = 0;
  std::vector<Section> sections;
};

// Exactly `size` bytes at `offset`; absent when the file is shorter.
Result<std::optional<std::string>> ReadExactly(int fd, uint64_t offset, size_t size) {
  std::string bytes(size, '\0');
  const size_t got = TRY(PreadFull(fd, std::as_writable_bytes(std::span(bytes)), offset));
  if (got < size) return std::nullopt;
  return bytes;
}

template <class T>
T At(const std::string& bytes, size_t offset) {
  return LittleEndian<T>(AsBytes(bytes).data() + offset);
}

Section ParseSection(const std::string& table, size_t at) {
  Section section;
  const std::string name = table.substr(at, 8);
  section.name = name.substr(0, name.find('\0'));
  section.virtual_size = At<uint32_t>(table, at + 8);
  section.size = At<uint32_t>(table, at + 16);
  section.offset = At<uint32_t>(table, at + 20);
  return section;
}

Result<std::optional<Image>> ReadSectionTable(int fd) {
  std::optional<std::string> dos = TRY(ReadExactly(fd, 0, kDosHeader));
  if (!dos || !dos->starts_with("MZ")) return std::nullopt;
  const uint32_t start = At<uint32_t>(*dos, 60);
  if (start < kDosHeader) return std::nullopt;
  std::optional<std::string> pe = TRY(ReadExactly(fd, start, kPeHeader));
  if (!pe || !pe->starts_with(std::string_view("PE\0\0", 4))) return std::nullopt;
  const uint16_t magic = At<uint16_t>(*pe, kOptionalHeader);
  const uint16_t count = At<uint16_t>(*pe, 6);
  if (count == 0 || (magic != 0x10b && magic != 0x20b)) return std::nullopt;

  const uint64_t at = uint64_t{start} + kOptionalHeader + At<uint16_t>(*pe, 20);
  std::optional<std::string> table = TRY(ReadExactly(fd, at, count * kSectionHeader));
  if (!table) return std::nullopt;
  Image image{At<uint16_t>(*pe, 4), {}};
  for (size_t i = 0; i < count; i++)
    image.sections.push_back(ParseSection(*table, i * kSectionHeader));
  return image;
}

// The content of a section, as far as the file goes; absent when there is no such section. Sections
// from the first ".profile" on belong to profiles; the first profile overrides the base.
Result<std::optional<std::string>> ReadSection(int fd, const Image& image, std::string_view name) {
  auto is_profile = [](const Section& section) { return section.name == ".profile"; };
  const auto end = image.sections.end();
  const auto profile = std::find_if(image.sections.begin(), end, is_profile);
  const auto profile_end = profile == end ? end : std::find_if(profile + 1, end, is_profile);
  auto find = [&](auto first, auto last) {
    auto it = std::find_if(first, last, [&](const Section& s) { return s.name == name; });
    return it == last || it->virtual_size == 0 ? end : it;
  };
  auto section = find(profile, profile_end);
  if (section == end) section = find(image.sections.begin(), profile);
  if (section == end) return std::nullopt;

  std::string content(std::min({section->size, section->virtual_size, uint64_t{kMostSection}}),
                      '\0');
  content.resize(TRY(PreadFull(fd, std::as_writable_bytes(std::span(content)), section->offset)));
  return content.substr(0, content.find('\0'));
}

using Fields = std::map<std::string_view, std::string_view, std::less<>>;

std::optional<std::string> FirstOf(const Fields& fields, std::initializer_list<const char*> keys) {
  for (const char* key : keys)
    if (auto it = fields.find(key); it != fields.end()) return std::string(it->second);
  return std::nullopt;
}

}  // namespace

std::optional<Digest> RootHashOf(std::string_view command_line) {
  constexpr std::string_view kKey = "roothash=", kSpace = " \t\n\r";
  std::optional<Digest> found;
  while (!command_line.empty()) {
    const size_t end = command_line.find_first_of(kSpace);
    const std::string_view word = command_line.substr(0, end);
    command_line.remove_prefix(end == word.npos ? command_line.size() : end + 1);
    if (!word.starts_with(kKey)) continue;
    Result<Digest> digest = Digest::FromHex(word.substr(kKey.size()));
    if (!digest || (found && *found != *digest)) return std::nullopt;
    found = *digest;
  }
  return found;
}

Result<std::optional<Uki>> ReadUki(int fd) {
  std::optional<Image> image = TRY(ReadSectionTable(fd));
  if (!image) return std::nullopt;
  std::optional<std::string> osrel = TRY(ReadSection(fd, *image, ".osrel"));
  if (!osrel) return std::nullopt;
  std::optional<std::string> command_line = TRY(ReadSection(fd, *image, ".cmdline"));

  Fields fields;
  std::string_view text = *osrel, key, value;
  while (NextLoaderLine(text, "=", key, value)) fields[key] = value;
  if (!FirstOf(fields, {"PRETTY_NAME", "IMAGE_ID", "NAME", "ID"})) return std::nullopt;

  struct stat status;
  if (::fstat(fd, &status) < 0) return FailErrno("fstat");
  const auto size = static_cast<uint64_t>(status.st_size);
  Uki uki;
  uki.machine = image->machine;
  uki.version =
      FirstOf(fields, {"IMAGE_VERSION", "VERSION", "VERSION_ID", "BUILD_ID"}).value_or("");
  uki.sort_key = FirstOf(fields, {"IMAGE_ID", "ID"});
  uki.command_line = command_line.value_or("");
  if (command_line) uki.root_hash = RootHashOf(*command_line);
  uki.complete = std::ranges::all_of(image->sections,
                                     [&](const Section& s) { return s.offset + s.size <= size; });
  return uki;
}

static Result<Uki> ReadWhole(int fd, const std::string& what, std::string_view architecture) {
  std::optional<Uki> uki = TRY_CONTEXT(what, ReadUki(fd));
  if (!uki || !uki->complete)
    return Fail(Code::kNotTrusted, "{}: it is no whole unified kernel image", what);
  const uint16_t machine = architecture == "arm64" ? kMachineArm64 : kMachineX64;
  if (uki->machine != machine)
    return Fail(Code::kNotTrusted, "{}: expected PE machine {:#06x} for {}, found {:#06x}", what,
                machine, architecture, uki->machine);
  return *std::move(uki);
}

Result<Uki> ReadUkiOf(int fd, const Release& release) {
  const std::string what = "boot image of " + release.version;
  Uki uki = TRY(ReadWhole(fd, what, release.architecture));
  if (uki.version != release.version || uki.root_hash != release.root_hash)
    return Fail(Code::kNotTrusted,
                "{}: expected version {} and root hash {}, found version {} and root hash {}", what,
                release.version, release.root_hash.Hex(), uki.version,
                uki.root_hash ? uki.root_hash->Hex() : "none");
  return uki;
}

Result<Uki> ReadRescueUki(int fd, std::string_view architecture) {
  Uki uki = TRY(ReadWhole(fd, "the rescue", architecture));
  if (uki.sort_key != kRescueId)
    return Fail(Code::kNotTrusted, "the rescue calls itself \"{}\", expected {}",
                uki.sort_key.value_or(""), kRescueId);
  if (uki.root_hash)
    return Fail(Code::kNotTrusted, "the rescue boots root hash {}, expected none",
                uki.root_hash->Hex());
  return uki;
}

}  // namespace hostos
