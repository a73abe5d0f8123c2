// Writes a tar archive (pax where a file needs it, else ustar), the same bytes for the same
// entries: one time for all of them, owners by number alone.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "updater/base/result.h"
#include "updater/base/tree.h"
#include "updater/base/unique_fd.h"

struct archive;

namespace hostos {

class TarWriter {
 public:
  // Replaces the file. `time` is that of every entry, in seconds.
  static Result<TarWriter> Create(const std::string& path, uint64_t time);

  // Paths are relative to the root of the archive.
  Result<> AddDirectory(const std::string& path, const Metadata& metadata);
  Result<> AddLink(const std::string& path, const Metadata& metadata, const std::string& target);
  // Reads `size` bytes of `content` from its present offset.
  Result<> AddFile(const std::string& path, const Metadata& metadata, int content, uint64_t size);
  Result<> AddText(const std::string& path, const Metadata& metadata, std::string_view text);
  Result<> Finish();

 private:
  struct Free {
    void operator()(archive* writer) const;
  };
  TarWriter(std::string path, UniqueFd file, uint64_t time, archive* writer)
      : path_(std::move(path)), file_(std::move(file)), time_(time), writer_(writer) {}

  Result<> Begin(const std::string& path, const Metadata& metadata, uint64_t size,
                 const std::string& target);
  Result<> Write(std::span<const std::byte> bytes);
  Error Problem(const std::string& path);

  std::string path_;
  UniqueFd file_;
  uint64_t time_;
  std::unique_ptr<archive, Free> writer_;  // goes before the file it writes to
};

}  // namespace hostos
