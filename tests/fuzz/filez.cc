// A file object as a server may send it: a header, then deflated content.
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"
#include "tests/source/release_fixture.h"

using namespace hostos;

FUZZ(filez, input) {
  static const TempDir directory;
  static const Repo repo = Repo::CreateArchive(directory / "repo").value();
  const Digest checksum = PutObject(directory / "repo", input, "filez");
  const std::string hex = checksum.Hex();
  const std::string path =
      std::format("{}/repo/objects/{}/{}.filez", directory.path(), hex.substr(0, 2), hex.substr(2));
  if (const Result<FileObject> file = repo.ReadFileHeader(checksum); file) {
    PROMISE(S_ISREG(file->metadata.mode) || S_ISLNK(file->metadata.mode));
    if (S_ISREG(file->metadata.mode) && file->size < (1 << 20))
      (void)repo.OpenContent(checksum);  // good or an error
  }
  PROMISE(::unlink(path.c_str()) == 0);
}
