#include "updater/seal/medium.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace hostos {

void DropCache(int fd) {
  (void)::fsync(fd);  // bytes that differ show a failed write
  if (::ioctl(fd, BLKFLSBUF, 0) < 0) (void)::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

}  // namespace hostos
