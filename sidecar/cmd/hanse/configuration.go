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
		return "default configuration (there is neither ./" + localConfig + " nor " + systemConfig + ")"
	}
	return cfg.File
}

// configFile is the file that -c names, else the first of the default places, "" where none is there.
func (a *app) configFile() (string, error) {
	if a.flags.ConfigFile != "" {
		return a.flags.ConfigFile, nil
	}
	return findConfig(localConfig, systemConfig)
}

// configuration reads that file and the variables.
func (a *app) configuration() (sidecar.Config, error) {
	file, err := a.configFile()
	if err != nil {
		return sidecar.Config{}, err
	}
	cfg, err := sidecar.LoadConfig(file, a.getenv)
	if missing := noConfiguration(file, err); missing != nil {
		return sidecar.Config{}, missing
	}
	if err != nil {
		return sidecar.Config{}, configError(file, err)
	}
	return rigged(cfg), nil
}

// noConfiguration is the error of a file that was named and is not there, nil for any other.
func noConfiguration(file string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return &commandError{
		Code: exitFailure, Reason: "no_configuration", Field: "-c", Cause: "there is no file " + file,
		Action: "name an existing file; without -c, ./" + localConfig + " and then " + systemConfig + " is read",
	}
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

func configError(file string, err error) error {
	var causes []string
	for _, p := range locate(file, err) {
		causes = append(causes, p.at(fileName(sidecar.Config{File: file})))
	}
	return &commandError{Code: exitFailure, Reason: "bad_configuration", Cause: strings.Join(causes, " | "), Action: "docs/configuration.md lists every key"}
}
