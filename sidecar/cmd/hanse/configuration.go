package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hanse-market/hanse/sidecar"
)

// Where a configuration is looked for when -c names none: the working directory first, then the system's place.
const (
	localConfig  = "hanse.yaml"
	systemConfig = "/etc/hanse/hanse.yaml"
)

// fileName is how a message speaks of the file that was read.
func fileName(cfg sidecar.Config) string {
	if cfg.File == "" {
		return "the default configuration (there is neither ./" + localConfig + " nor " + systemConfig + ")"
	}
	return cfg.File
}

// configuration reads the file that -c names, else the first of the default places, else none.
func (a *app) configuration() (sidecar.Config, error) {
	file := a.flags.Config
	if file == "" {
		var err error
		if file, err = findConfig(localConfig, systemConfig); err != nil {
			return sidecar.Config{}, err
		}
	}
	cfg, err := sidecar.LoadConfig(file, a.getenv)
	if errors.Is(err, fs.ErrNotExist) {
		return sidecar.Config{}, &commandError{
			Code: exitFailure, Reason: "no_configuration", Field: "-c", Cause: "there is no file " + file,
			Action: "name an existing file; without -c, ./" + localConfig + " and then " + systemConfig + " is read",
		}
	}
	if err != nil {
		return sidecar.Config{}, configError(err)
	}
	return cfg, nil
}

// findConfig is the absolute path of the first file that is there, "" where none is. One that is there and cannot be looked at
// is an error: the next one, or none, is not what its owner meant.
func findConfig(places ...string) (string, error) {
	for _, place := range places {
		path := absolute(place)
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && info.IsDir() {
			err = fmt.Errorf("%s is a folder", path)
		}
		if err == nil {
			err = trusted(path, info)
		}
		if err != nil {
			return "", &commandError{
				Code: exitFailure, Reason: "configuration_unread", Cause: err.Error(),
				Action: "name the file you mean with -c, or run this as the user who owns it",
			}
		}
		return path, nil
	}
	return "", nil
}

func absolute(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}

func configError(err error) error {
	return &commandError{Code: exitFailure, Reason: "bad_configuration", Cause: strings.ReplaceAll(err.Error(), "\n", " | "), Action: "docs/configuration.md lists every key"}
}
