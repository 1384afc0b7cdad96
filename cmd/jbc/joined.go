package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jbcnet/jbc/coordinator/access"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// ownerFile is what a coordinator that listens to other machines leaves in its data
// directory for whoever may read that.
const ownerFile = "owner.json"

// configDir returns where this user's settings lie, empty where no place is known.
func (s *shell) configDir() string {
	dir := s.env("XDG_CONFIG_HOME")
	if dir == "" {
		var err error
		if dir, err = os.UserConfigDir(); err != nil {
			return ""
		}
	}
	return filepath.Join(dir, "jbc")
}

// joinedPath returns where the join of that role is kept.
func (s *shell) joinedPath(role protocol.Role) (string, error) {
	dir := s.configDir()
	if dir == "" {
		return "", usageError(errors.New("no home directory to keep a join in"), "set HOME or XDG_CONFIG_HOME")
	}
	return filepath.Join(dir, "joined", string(role)+".json"), nil
}

// wanted is the membership that a command could make use of.
type wanted struct {
	roles   []protocol.Role // any of them, the best first
	network string          // name or id; empty for any
	dataDir string          // of the coordinator's owner; empty for the usual places
}

// findJoined returns the first membership that this user has of those wanted, and
// where it lies; nothing where there is none.
func (s *shell) findJoined(want wanted) (*access.Membership, string, error) {
	for _, role := range want.roles {
		path, err := s.joinedFile(role, want)
		if err != nil {
			return nil, "", err
		}
		if path == "" {
			continue
		}
		m, err := access.LoadMembership(path)
		switch {
		case access.IsMissing(err):
		case err != nil:
			return nil, "", explainJoined(path, err)
		default:
			return m, path, nil
		}
	}
	return nil, "", nil
}

// joinedFile returns where a membership of that role would lie, empty where no
// place is known.
func (s *shell) joinedFile(role protocol.Role, want wanted) (string, error) {
	if role == protocol.RoleOwner {
		return s.ownedFile(want)
	}
	if s.configDir() == "" {
		return "", nil
	}
	return s.joinedPath(role)
}

// ownedFile returns the owner's file of the coordinator that this user runs.
func (s *shell) ownedFile(want wanted) (string, error) {
	if want.dataDir != "" {
		return filepath.Join(want.dataDir, ownerFile), nil
	}
	base, err := s.dataPath("")
	if err != nil {
		return "", nil // no home: nothing is kept there
	}
	entries, err := os.ReadDir(base)
	if err != nil {
		return "", nil // nothing is kept there
	}
	var found []string
	for _, e := range entries {
		path := filepath.Join(base, e.Name(), ownerFile)
		if _, err := os.Stat(path); err == nil && onNetwork(e.Name(), want.network) {
			found = append(found, path)
		}
	}
	if len(found) > 1 {
		var names []string
		for _, path := range found {
			names = append(names, filepath.Base(filepath.Dir(path)))
		}
		slices.Sort(names)
		return "", usageError(fmt.Errorf("coordinators of several networks are kept here: %s", strings.Join(names, ", ")), "choose one with --network")
	}
	return strings.Join(found, ""), nil
}

// onNetwork says whether the directory of that name is the network's, which goes by
// name or by id, and so does the directory.
func onNetwork(dir, network string) bool {
	return network == "" || network == dir || protocol.Found{Network: network}.On(dir) ||
		protocol.IsNetworkID(dir) && protocol.Found{Network: dir}.On(network)
}

// loadJoined reads a membership that was named.
func loadJoined(path string, want wanted) (*access.Membership, error) {
	m, err := access.LoadMembership(path)
	if err != nil {
		return nil, explainJoined(path, err)
	}
	if !slices.Contains(want.roles, m.Role) {
		return nil, usageError(fmt.Errorf("%s is the join of %s, which this command has no use for", path, roleNames(m.Role)),
			"it takes that of "+roleNames(want.roles...))
	}
	return m, nil
}

// explainJoined says what to do about a file that can't be used.
func explainJoined(path string, err error) error {
	if access.IsMissing(err) {
		return usageError(fmt.Errorf("no join at %s", path), "jbc join makes one of a token")
	}
	return withHint(err, "join again with a new token (jbc join), or move the file away")
}

// roleNames says roles in words.
func roleNames(roles ...protocol.Role) string {
	article := map[protocol.Role]string{
		protocol.RoleWorker: "a worker", protocol.RoleCoordinator: "a coordinator",
		protocol.RoleObserver: "an observer", protocol.RoleOwner: "the owner",
	}
	var names []string
	for _, r := range roles {
		names = append(names, article[r])
	}
	return strings.Join(names, " or ")
}
