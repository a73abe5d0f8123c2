#include "images/sbom/elf.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

constexpr uint64_t kMaxSegment = 16 << 20;
constexpr size_t kMaxLibraries = 1024;
constexpr uint32_t kDlopenNote = 0x407c0c0a;

std::unexpected<Error> Damaged(std::string_view where) {
  return Fail(Code::kFailed, "expected a program (ELF), found a damaged one: {}", where);
}

Result<std::string> ReadAt(int file, uint64_t offset, uint64_t size, std::string_view what) {
  if (size > kMaxSegment) return Damaged(what);
  std::string bytes(size, '\0');
  if (TRY(PreadFull(file, std::as_writable_bytes(std::span(bytes)), offset)) != size)
    return Damaged(what);
  return bytes;
}

template <class T>
std::vector<T> TableOf(std::string_view bytes) {
  std::vector<T> table(bytes.size() / sizeof(T));
  std::memcpy(table.data(), bytes.data(), table.size() * sizeof(T));
  return table;
}

using Segments = std::vector<Elf64_Phdr>;

// Where in the file the bytes are that the loader puts at an address.
std::optional<uint64_t> OffsetOf(const Segments& segments, uint64_t address) {
  for (const Elf64_Phdr& segment : segments)
    if (segment.p_type == PT_LOAD && address >= segment.p_vaddr &&
        address - segment.p_vaddr < segment.p_filesz)
      return segment.p_offset + (address - segment.p_vaddr);
  return std::nullopt;
}

Result<> AddLinked(int file, const Segments& segments, const Elf64_Phdr& dynamic,
                   std::vector<std::string>& libraries) {
  const std::string bytes =
      TRY(ReadAt(file, dynamic.p_offset, dynamic.p_filesz, "its dynamic section"));
  std::vector<uint64_t> names;
  uint64_t table = 0, size = 0;
  for (const Elf64_Dyn& entry : TableOf<Elf64_Dyn>(bytes)) {
    if (entry.d_tag == DT_NULL) break;
    if (entry.d_tag == DT_NEEDED) names.push_back(entry.d_un.d_val);
    if (entry.d_tag == DT_STRTAB) table = entry.d_un.d_ptr;
    if (entry.d_tag == DT_STRSZ) size = entry.d_un.d_val;
  }
  if (names.empty()) return {};
  const std::optional<uint64_t> offset = OffsetOf(segments, table);
  if (!offset) return Damaged("its names");
  const std::string strings = TRY(ReadAt(file, *offset, size, "its names"));
  for (const uint64_t name : names) {
    if (name >= strings.size()) return Damaged("the name of a library");
    libraries.emplace_back(strings.c_str() + name);
  }
  return {};
}

// A note names each library by all of its names: [{"soname": ["libfoo.so.1"]}].
void AddFromNote(std::string_view text, std::vector<std::string>& libraries) {
  const auto json = nlohmann::json::parse(text.substr(0, text.find('\0')), nullptr, false);
  if (!json.is_array()) return;
  for (const auto& feature : json)
    if (feature.is_object() && feature.contains("soname") && feature["soname"].is_array())
      for (const auto& name : feature["soname"])
        if (name.is_string()) libraries.push_back(name.get<std::string>());
}

Result<> AddNoted(int file, const Elf64_Phdr& notes, std::vector<std::string>& libraries) {
  const std::string bytes = TRY(ReadAt(file, notes.p_offset, notes.p_filesz, "its notes"));
  const auto padded = [](uint64_t size) { return (size + 3) / 4 * 4; };
  std::string_view rest = bytes;
  while (rest.size() >= sizeof(Elf64_Nhdr)) {
    const Elf64_Nhdr note = TableOf<Elf64_Nhdr>(rest.substr(0, sizeof(Elf64_Nhdr)))[0];
    rest.remove_prefix(sizeof note);
    const uint64_t name = padded(note.n_namesz), text = padded(note.n_descsz);
    if (name + text > rest.size()) break;  // of another alignment: none of those looked for
    if (note.n_type == kDlopenNote && rest.starts_with(std::string_view("FDO\0", 4)))
      AddFromNote(rest.substr(name, note.n_descsz), libraries);
    rest.remove_prefix(name + text);
  }
  return {};
}

}  // namespace

Result<ElfNeeds> ReadElfNeeds(int file) {
  Elf64_Ehdr header{};
  ElfNeeds needs;
  const size_t read = TRY(PreadFull(file, std::as_writable_bytes(std::span(&header, 1)), 0));
  if (read < SELFMAG || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return needs;
  if (read < sizeof header) return Damaged("its header");
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB)
    return needs;
  if (header.e_machine == EM_X86_64) needs.folder = "x86_64-linux-gnu";
  if (header.e_machine == EM_AARCH64) needs.folder = "aarch64-linux-gnu";
  if (needs.folder.empty()) return needs;
  if (header.e_phnum > 0 && header.e_phentsize != sizeof(Elf64_Phdr))
    return Damaged("its program headers");
  const Segments segments = TableOf<Elf64_Phdr>(TRY(ReadAt(
      file, header.e_phoff, uint64_t{header.e_phnum} * sizeof(Elf64_Phdr), "its program headers")));
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type == PT_DYNAMIC) TRY(AddLinked(file, segments, segment, needs.libraries));
    if (segment.p_type == PT_NOTE) TRY(AddNoted(file, segment, needs.libraries));
    if (needs.libraries.size() > kMaxLibraries) return Damaged("its libraries");
  }
  return needs;
}

}  // namespace hostos
