#include "images/tar_writer.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>

#include <algorithm>
#include <array>

namespace hostos {
namespace {

using EntryRef =
    std::unique_ptr<archive_entry, decltype([](archive_entry* e) { archive_entry_free(e); })>;

// libarchive takes names to be in the locale's encoding, and writes them in UTF-8.
class Utf8 {
 public:
  Utf8() : locale_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)), before_(::uselocale(locale_)) {}
  ~Utf8() {
    (void)::uselocale(before_);
    if (locale_) ::freelocale(locale_);
  }
  Utf8(const Utf8&) = delete;
  Utf8& operator=(const Utf8&) = delete;

 private:
  locale_t locale_, before_;
};

}  // namespace

void TarWriter::Free::operator()(archive* writer) const {
  archive_write_free(writer);
}

Result<TarWriter> TarWriter::Create(const std::string& path, uint64_t time) {
  UniqueFd file = TRY(Open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
  TarWriter tar(path, std::move(file), time, archive_write_new());
  archive* writer = tar.writer_.get();
  if (!writer) return FailErrno(path, ENOMEM);
  // SCHILY alone: what tar, runtimes and the OCI's specification read.
  if (archive_write_set_format_pax_restricted(writer) != ARCHIVE_OK ||
      archive_write_set_format_option(writer, "pax", "xattrheader", "SCHILY") != ARCHIVE_OK ||
      archive_write_open_fd(writer, tar.file_.get()) != ARCHIVE_OK)
    return std::unexpected(tar.Problem(path));
  return tar;
}

Result<> TarWriter::Begin(const std::string& path, const Metadata& metadata, uint64_t size,
                          const std::string& target) {
  const Utf8 utf8;
  const EntryRef entry(archive_entry_new());
  if (!entry) return FailErrno(path, ENOMEM);
  archive_entry_set_pathname(entry.get(), path.c_str());
  archive_entry_set_mode(entry.get(), metadata.mode);
  archive_entry_set_uid(entry.get(), metadata.uid);
  archive_entry_set_gid(entry.get(), metadata.gid);
  archive_entry_set_mtime(entry.get(), static_cast<time_t>(time_), 0);
  archive_entry_set_size(entry.get(), static_cast<la_int64_t>(size));
  if (!target.empty()) archive_entry_set_symlink(entry.get(), target.c_str());
  for (const Xattr& xattr : metadata.xattrs)
    archive_entry_xattr_add_entry(entry.get(), xattr.name.c_str(), xattr.value.data(),
                                  xattr.value.size());
  if (archive_write_header(writer_.get(), entry.get()) < ARCHIVE_WARN)  // a name may not be UTF-8
    return std::unexpected(Problem(path));
  return {};
}

Result<> TarWriter::Write(std::span<const std::byte> bytes) {
  if (archive_write_data(writer_.get(), bytes.data(), bytes.size()) !=
      static_cast<la_ssize_t>(bytes.size()))
    return std::unexpected(Problem(path_));
  return {};
}

Result<> TarWriter::AddDirectory(const std::string& path, const Metadata& metadata) {
  return Begin(path, metadata, 0, "");
}

Result<> TarWriter::AddLink(const std::string& path, const Metadata& metadata,
                            const std::string& target) {
  return Begin(path, metadata, 0, target);
}

Result<> TarWriter::AddFile(const std::string& path, const Metadata& metadata, int content,
                            uint64_t size) {
  TRY(Begin(path, metadata, size, ""));
  std::array<std::byte, 64 << 10> buffer;
  for (uint64_t left = size; left > 0;) {
    const std::span wanted = std::span(buffer).first(std::min<uint64_t>(left, buffer.size()));
    const size_t n = TRY_CONTEXT(path, ReadFull(content, wanted));
    if (n < wanted.size())
      return Fail(Code::kFailed, "{}: expected {} bytes, found {}", path, size, size - left + n);
    TRY(Write(wanted));
    left -= n;
  }
  return {};
}

Result<> TarWriter::AddText(const std::string& path, const Metadata& metadata,
                            std::string_view text) {
  TRY(Begin(path, metadata, text.size(), ""));
  return Write(AsBytes(text));
}

Result<> TarWriter::Finish() {
  if (archive_write_close(writer_.get()) != ARCHIVE_OK) return std::unexpected(Problem(path_));
  TRY_CONTEXT(path_, file_.Close());
  return {};
}

// What libarchive says of its last call.
Error TarWriter::Problem(const std::string& path) {
  const char* text = archive_error_string(writer_.get());
  const int error = archive_errno(writer_.get());
  if (error == ENOSPC || error == EDQUOT) return FailErrno(path_, error).error();
  return Fail(Code::kFailed, "{}: {}", path, text ? text : "libarchive does not say what failed")
      .error();
}

}  // namespace hostos
