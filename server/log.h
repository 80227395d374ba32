// One line of the server's log, on standard error. Never holds object names, keys or bytes.
#pragma once

#include <string>

namespace meridian::server {

// Thread-safe; the time goes before it.
void Log(const std::string& line);

}  // namespace meridian::server
