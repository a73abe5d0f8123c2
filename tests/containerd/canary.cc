// The test's canary: judges from inside what it was given, then behaves as the file /behaviour of
// its root file system says: "hang", or the exit code to end with.
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace {

bool HasCapabilities() {
  char line[256];
  bool found = false, any = false;
  FILE* status = fopen("/proc/self/status", "re");
  while (status && fgets(line, sizeof line, status)) {
    if (strncmp(line, "Cap", 3) != 0 || strncmp(line, "CapInh", 6) == 0) continue;
    found = true;
    any |= strtoull(line + 8, nullptr, 16) != 0;
  }
  return !found || any;
}

bool SeesNetwork() {
  DIR* interfaces = opendir("/sys/class/net");
  if (!interfaces) return true;
  while (const dirent* entry = readdir(interfaces))
    if (entry->d_name[0] != '.' && strcmp(entry->d_name, "lo") != 0) return true;
  return false;
}

}  // namespace

int main() {
  if (getpid() != 1) return 101;
  if (getuid() == 0) return 102;
  if (open("/created", O_CREAT | O_WRONLY | O_CLOEXEC, 0666) >= 0) return 103;
  if (HasCapabilities()) return 104;
  if (SeesNetwork()) return 105;
  char behaviour[16] = "";
  FILE* file = fopen("/behaviour", "re");
  if (!file || !fgets(behaviour, sizeof behaviour, file)) return 106;
  while (strcmp(behaviour, "hang") == 0) pause();
  return atoi(behaviour);
}
