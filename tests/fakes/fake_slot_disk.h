// The partitions of two slots, in memory. A write that is cut short leaves neither the old nor the
// new image. Refuses what the engine must never do: write a slot that could be booted.
#pragma once

#include <functional>
#include <optional>

#include "bootctl/boot_control.h"
#include "updater/slot/slot_disk.h"

namespace hostos {

class FakeSlotDisk : public SlotDisk {
 public:
  FakeSlotDisk(BootControl& boot, std::function<void(const char*)> step)
      : boot_(boot), step_(std::move(step)) {}

  // What reading the slot back yields; absent for half-written bytes.
  std::optional<Digest> content[2];
  // Makes the next write put wrong bytes on the medium, as a failing disk would.
  bool spoil_next_write = false;
  // Makes the next write fail with this halfway.
  std::optional<Error> write_error;
  int writes = 0;

  Result<uint64_t> Write(Slot slot, const Release& release, int, Progress& progress) override {
    const BootState state = TRY(boot_.Read());
    if (slot != state.target() || state.EntryOf(slot) || state.slot(slot).root_hash)
      return Fail(Code::kFailed, "slot {} can be booted: it must not be written", Name(slot));
    writes++;
    content[static_cast<int>(slot)] = std::nullopt;
    for (uint64_t done = 1; done <= 3; done++) {
      step_("write the slot");
      progress.Bytes(done, 3);
      if (done == 2 && write_error)
        return std::unexpected(*std::exchange(write_error, std::nullopt));
    }
    if (!std::exchange(spoil_next_write, false))
      content[static_cast<int>(slot)] = release.root_hash;
    return release.image_size;
  }

  Result<> Prove(Slot slot, const Release& release, Progress& progress) override {
    progress.Bytes(1, 1);
    if (content[static_cast<int>(slot)] != release.root_hash)
      return Fail(Code::kNotTrusted, "slot {}: expected root hash {}, found another", Name(slot),
                  release.root_hash.Hex());
    return {};
  }

 private:
  BootControl& boot_;
  std::function<void(const char*)> step_;
};

}  // namespace hostos
