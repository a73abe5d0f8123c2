#include "tests/powercut/disk_copy.h"

#include <nlohmann/json.hpp>
#include <ranges>

#include "tests/bootctl/disk_machine.h"

namespace hostos {
namespace {

constexpr uint64_t kSector = 512;

// Copies an extent of one file to a place in another.
Result<> CopyExtent(int from, const Extent& extent, int to, uint64_t at) {
  std::vector<std::byte> buffer(1 << 20);
  for (uint64_t done = 0; done < extent.end - extent.begin;) {
    const size_t most = std::min<uint64_t>(buffer.size(), extent.end - extent.begin - done);
    const size_t read = TRY(PreadFull(from, std::span(buffer).first(most), extent.begin + done));
    if (read != most) return Fail(Code::kFailed, "the image ends early");
    TRY(PwriteFull(to, std::span(buffer).first(most), at + done));
    done += most;
  }
  return {};
}

}  // namespace

Result<DiskCopy> DiskCopy::Make(const std::string& image, const std::string& directory,
                                const WriteLog& log) {
  DiskCopy copy;
  copy.log_ = &log;
  const auto table = nlohmann::json::parse(Run("sfdisk --json " + image))["partitiontable"];
  Extent extents[6];
  const auto& partitions = table["partitions"];
  for (size_t i = 0; i < 6; i++) {
    const uint64_t start = partitions.at(i)["start"].get<uint64_t>() * kSector;
    extents[i] = {start, start + partitions.at(i)["size"].get<uint64_t>() * kSector};
  }
  copy.esp_extent_ = extents[0];
  copy.slots_[0] = {extents[1].begin, extents[2].end};
  copy.slots_[1] = {extents[3].begin, extents[4].end};
  copy.state_ = extents[5];

  copy.table_ = directory + "/table.img";
  copy.esp_ = directory + "/esp.img";
  const UniqueFd from = TRY(Open(image, O_RDONLY));
  copy.table_fd_ = TRY(Open(copy.table_, O_RDWR | O_CREAT | O_TRUNC, 0600));
  copy.esp_fd_ = TRY(Open(copy.esp_, O_RDWR | O_CREAT | O_TRUNC, 0600));
  const uint64_t size = static_cast<uint64_t>(::lseek(from.get(), 0, SEEK_END));
  if (::ftruncate(copy.table_fd_.get(), static_cast<off_t>(size)) < 0)
    return FailErrno(copy.table_);
  TRY(CopyExtent(from.get(), {0, extents[0].begin}, copy.table_fd_.get(), 0));
  TRY(CopyExtent(from.get(), {extents[5].end, size}, copy.table_fd_.get(), extents[5].end));
  TRY(CopyExtent(from.get(), extents[0], copy.esp_fd_.get(), 0));
  return copy;
}

DiskCopy::Place DiskCopy::PlaceOf(const LoggedWrite& write) const {
  if (esp_extent_.Contains(write)) return Place::kEsp;
  if (slots_[0].Contains(write)) return Place::kSlotA;
  if (slots_[1].Contains(write)) return Place::kSlotB;
  if (state_.Contains(write)) return Place::kState;
  const bool outside =
      write.offset + write.length <= esp_extent_.begin || write.offset >= state_.end;
  return outside ? Place::kTable : Place::kAcross;
}

Result<> DiskCopy::Apply(const LoggedWrite& write, uint64_t bytes) {
  const Place place = PlaceOf(write);
  if (place == Place::kAcross)
    return Fail(Code::kFailed, "a write of {} bytes at {} crosses partitions", write.length,
                write.offset);
  if (place != Place::kTable && place != Place::kEsp) return {};
  const int fd = place == Place::kEsp ? esp_fd_.get() : table_fd_.get();
  const uint64_t offset = write.offset - (place == Place::kEsp ? esp_extent_.begin : 0);
  std::vector<std::byte> data(bytes);
  if (marked_) {
    TRY(PreadFull(fd, data, offset));
    overwritten_.push_back({fd, offset, data});
  }
  TRY(log_->Read(write, data));
  return PwriteFull(fd, data, offset);
}

Result<> DiskCopy::Undo() {
  for (const Overwritten& old : overwritten_ | std::views::reverse)
    TRY(PwriteFull(old.fd, old.bytes, old.offset));
  overwritten_.clear();
  marked_ = false;
  return {};
}

}  // namespace hostos
