// A root of a few Debian packages, with every way in which one says what it was made of.
#pragma once

#include <string>

#include "images/sbom/sbom.h"
#include "tests/temp_dir.h"
#include "tests/text_file.h"

namespace hostos {

class SmallRoot {
 public:
  SmallRoot();

  std::string operator/(const std::string& name) const { return directory_ / name; }
  // Adds a package whose status has these further lines, and a file list.
  void AddPackage(const std::string& name, const std::string& lines, const std::string& files = "");
  // A description of all of it at this time, with a rescue.
  SbomInput Input() const;
  Result<Sbom> Describe() const { return DescribeRoot(Input()); }

 private:
  TempDir directory_;
};

}  // namespace hostos
