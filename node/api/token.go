package api

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// TokenFile is the file in HOME that holds the token which writes need.
const TokenFile = "api.token"

const tokenBytes = 32

// loadToken reads the token of home, or makes one. It refuses a token that
// other users of the machine can read.
func loadToken(home string) (string, error) {
	path := filepath.Join(home, TokenFile)
	token, err := ReadToken(home)
	if !errors.Is(err, fs.ErrNotExist) {
		return token, err
	}
	secret := make([]byte, tokenBytes)
	_, _ = rand.Read(secret) // never fails: it ends the process instead
	token = hex.EncodeToString(secret)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("api: make the token: %w", err)
	}
	_, err = f.WriteString(token + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("api: write the token: %w", errors.Join(err, os.Remove(path)))
	}
	return token, nil
}

// ReadToken returns the token of the node in home. It wraps fs.ErrNotExist
// when there is none; a token that others can read, or that is none of ours,
// is view.CodeUnsafe.
func ReadToken(home string) (string, error) {
	path := filepath.Join(home, TokenFile)
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("api: token: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return "", &view.Error{
			Code:    view.CodeUnsafe,
			Message: fmt.Sprintf("the API token %s can be read by others (mode %04o)", path, mode),
			Hint:    fmt.Sprintf("delete it if it may have been read (a new one is made), else: chmod 600 %s", path),
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("api: token: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if secret, err := hex.DecodeString(token); err != nil || len(secret) != tokenBytes {
		return "", &view.Error{
			Code:    view.CodeUnsafe,
			Message: fmt.Sprintf("the API token %s is damaged", path),
			Hint:    "delete it: the node makes a new one when it starts",
		}
	}
	return token, nil
}
