#include "updater/hostctl/lock_holder.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <format>
#include <ranges>

#include "updater/base/unique_fd.h"
#include "updater/engine/state_dir.h"

namespace hostos {

std::string LockHolder(const std::string& lock_file, const std::string& locks) {
  struct stat file;
  Result<std::string> held = ReadFile(locks);
  if (!held || ::stat(lock_file.c_str(), &file) < 0) return "";
  // "1: FLOCK  ADVISORY  WRITE 812 fe:01:1234 0 EOF"; a waiter has "->" before FLOCK.
  const std::string inode =
      std::format(" {:02x}:{:02x}:{} ", major(file.st_dev), minor(file.st_dev), file.st_ino);
  for (auto range : *held | std::views::split('\n')) {
    std::string_view line(range);
    if (line.contains(": FLOCK ") && line.contains(inode)) return HolderIn(lock_file);
  }
  return "";
}

}  // namespace hostos
