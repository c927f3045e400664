package tlsagent

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

const (
	addressVariable = "TLSAGENT_SOCKET"
	addressPrefix   = "unix:"
	rootSocket      = "/run/tlsagent.sock"
	userSocket      = "tlsagent.sock"
	// sockaddr_un has 108 bytes for the path and its NUL.
	socketPathMax = 107
)

// parseAddress gives the path of a socket from "unix:PATH", "unix:@NAME", "PATH" or "@NAME"; "" is the default.
func parseAddress(address string) (string, error) {
	if address == "" {
		return defaultPath()
	}
	return checkPath(strings.TrimPrefix(address, addressPrefix))
}

func checkPath(path string) (string, error) {
	if path == "" || path == "@" {
		return "", errors.New("tlsagent: the daemon's address is empty: give unix:PATH or unix:@NAME")
	}
	if len(path) > socketPathMax {
		return "", fmt.Errorf("tlsagent: the daemon's address has %d bytes and a socket's path can have %d: %s",
			len(path), socketPathMax, path)
	}
	return path, nil
}

// defaultPath looks where the daemon listens unless it is told otherwise.
func defaultPath() (string, error) {
	if address := secureGetenv(addressVariable); address != "" {
		return checkPath(strings.TrimPrefix(address, addressPrefix))
	}
	if os.Geteuid() == 0 {
		return rootSocket, nil
	}
	runtime := secureGetenv("XDG_RUNTIME_DIR")
	if runtime == "" {
		return "", errors.New("tlsagent: nothing says where tlsagentd listens: set " + addressVariable +
			" to its address (XDG_RUNTIME_DIR, the default's place, isn't set either)")
	}
	return checkPath(runtime + "/" + userSocket)
}

// secureGetenv doesn't believe the environment of a set-user-ID program, as secure_getenv(3) doesn't.
func secureGetenv(name string) string {
	if os.Getuid() != os.Geteuid() || os.Getgid() != os.Getegid() {
		return ""
	}
	return os.Getenv(name)
}
