#include "updater/slot/partition_slot_disk.h"

#include "updater/base/unique_fd.h"
#include "updater/seal/seal.h"

namespace hostos {
namespace {

Result<> CheckCapacity(Slot slot, const char* what, const std::string& device, uint64_t needed,
                       uint64_t capacity) {
  if (needed > capacity)
    return Fail(Code::kNoSpace, "slot {}: the {} needs {} bytes, {} holds {}", Name(slot), what,
                needed, device, capacity);
  return {};
}

Result<> Sync(int fd, const std::string& device) {
  if (::fsync(fd) < 0) return FailErrno(device + ": fsync");
  return {};
}

}  // namespace

Result<uint64_t> PartitionSlotDisk::Write(Slot slot, const Release& release, int image,
                                          Progress& progress) {
  const BootState state = TRY(boot_.Read());
  if (slot != state.target())
    return Fail(Code::kFailed, "slot {} is {}: expected to write slot {}", Name(slot),
                state.release() ? "running" : "left alone", Name(Other(slot)));
  const SlotState& to = state.slot(slot);
  const SealSize size = TRY(SizeOfImage(release.image_size));
  if (size.verity != release.verity_size)
    return Fail(Code::kNotTrusted, "hash area: expected {} bytes as signed, found {}",
                release.verity_size, size.verity);
  TRY(CheckCapacity(slot, "image", to.data_device, size.image, to.data_capacity));
  TRY(CheckCapacity(slot, "hash area", to.verity_device, size.verity, to.verity_capacity));

  // O_EXCL claims the block device: the kernel refuses it if the device is mounted or mapped.
  UniqueFd data = TRY(Open(to.data_device, O_RDWR | O_EXCL));
  UniqueFd verity = TRY(Open(to.verity_device, O_RDWR | O_EXCL));
  const Received received = TRY_CONTEXT(
      std::format("slot {}", Name(slot)),
      ReceiveImage(image, size.image, data.get(), verity.get(),
                   [&](uint64_t done, uint64_t total) { progress.Bytes(done, total); }));
  if (received.root_hash != release.root_hash)
    return Fail(Code::kNotTrusted, "slot {}: expected the root hash {} as signed, found {}",
                Name(slot), release.root_hash.Hex(), received.root_hash.Hex());
  TRY(Sync(data.get(), to.data_device));
  TRY(Sync(verity.get(), to.verity_device));
  TRY_CONTEXT(to.data_device, data.Close());
  TRY_CONTEXT(to.verity_device, verity.Close());
  return received.written;
}

Result<> PartitionSlotDisk::Prove(Slot slot, const Release& release, Progress& progress) {
  const BootState state = TRY(boot_.Read());
  const SlotState& from = state.slot(slot);
  UniqueFd image = TRY(Open(from.data_device, O_RDONLY));
  UniqueFd verity = TRY(Open(from.verity_device, O_RDONLY));
  TRY_CONTEXT(std::format("slot {} ({}, {})", Name(slot), from.data_device, from.verity_device),
              ProveSeal(image.get(), verity.get(), release.image_size, release.root_hash,
                        [&](uint64_t done, uint64_t total) { progress.Bytes(done, total); }));
  return {};
}

}  // namespace hostos
