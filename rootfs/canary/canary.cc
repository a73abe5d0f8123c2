// The canary: the only program in the container that the health gate starts. It exits with 0 only
// if it really runs inside a container, so its exit code proves that containerd, its shim and runc
// did their work. Otherwise it prints what it expected and what it found, and exits with 1.
//
// Linked statically, because the container's root file system holds nothing else.

#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace {

bool IsFirstProcess() {
  if (getpid() == 1) return true;
  std::fprintf(stderr, "canary: expected to be process 1 of its own PID namespace, found %d\n",
               getpid());
  return false;
}

bool HasReadOnlyRoot() {
  struct statvfs root = {};
  if (statvfs("/", &root) != 0) {
    std::perror("canary: cannot look at /");
    return false;
  }
  if ((root.f_flag & ST_RDONLY) != 0) return true;
  std::fprintf(stderr, "canary: expected a read-only /, found a writable one\n");
  return false;
}

// /proc must be the container's own, not the host's: its process 1 is this program.
bool HasOwnProc() {
  char name[32] = {};
  FILE* comm = std::fopen("/proc/1/comm", "re");
  if (comm == nullptr || std::fgets(name, sizeof(name), comm) == nullptr) {
    std::perror("canary: expected /proc to be mounted, cannot read /proc/1/comm");
    return false;
  }
  std::fclose(comm);
  if (std::strcmp(name, "canary\n") == 0) return true;
  std::fprintf(stderr, "canary: expected process 1 of /proc to be canary, found %s", name);
  return false;
}

}  // namespace

int main() {
  return IsFirstProcess() && HasReadOnlyRoot() && HasOwnProc() ? 0 : 1;
}
