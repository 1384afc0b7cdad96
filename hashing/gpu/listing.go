package gpu

import (
	"errors"
	"slices"
	"strings"
)

// Info describes a device.
type Info struct {
	// Index is its place in the listing that it comes from.
	Index   int
	Backend Backend
	// Name, Vendor and Driver are what its driver says of it, Platform is the OpenCL
	// implementation that offers it, or the versions of CUDA and of the card. Driver is
	// empty where nothing tells.
	Name, Vendor, Driver, Platform string
	// Address is its place on the PCI bus. OpenCL does not tell.
	Address string
	Kind    Kind
	// Memory is the device's own, in bytes.
	Memory uint64
	// Units is how many compute units it has.
	Units int

	opener opener
}

// Backend is the library by which a device is used.
type Backend string

// The back ends.
const (
	CUDA   Backend = "CUDA"
	OpenCL Backend = "OpenCL"
)

// Kind is what sort of a processor a device is.
type Kind string

// The kinds.
const (
	GPU         Kind = "gpu"
	CPU         Kind = "cpu" // the very cores that kernels run on
	Accelerator Kind = "accelerator"
	Other       Kind = "other"
)

// State says whether there are devices, and why not.
type State string

// The states. None of them is an error.
const (
	Found        State = "found"
	NotBuilt     State = "not-built" // this program can't use devices
	NoLibrary    State = "no-library"
	NoDevice     State = "no-device"
	NoPermission State = "no-permission"
)

// Listing is what [Find] found.
type Listing struct {
	State State
	// Devices has an entry a device, in an order that only changes with the machine.
	Devices []Info
	// Closed are the device files that there are and that this process may not
	// open. There can be some beside devices that were found.
	Closed []string
	// Detail is one line of what loaders and drivers said that failed; it may be empty.
	Detail string
}

// Why is one line that says why there is no device. It is empty where there is one.
func (l *Listing) Why() string {
	var why string
	switch l.State {
	case Found:
		return ""
	case NotBuilt:
		why = "this build of jbc can't use devices"
	case NoLibrary:
		why = "no OpenCL library and no CUDA driver on this machine"
	case NoDevice:
		why = "no OpenCL or CUDA device on this machine"
	case NoPermission:
		why = "no permission to use " + l.Closed[0]
	}
	if l.Detail != "" {
		why += " (" + l.Detail + ")"
	}
	return why
}

// finding is what one back end has to say.
type finding struct {
	loaded  bool // there is a library
	devices []Info
	err     error // what failed; there can be devices beside it
}

// merge makes a listing of what the back ends found. A card that both of them offer is
// listed once, by CUDA: its name is the same, since its driver is.
func merge(closed []string, cuda, openCL finding) Listing {
	l := Listing{Closed: closed, Devices: slices.Clone(cuda.devices)}
	for _, d := range openCL.devices {
		if !slices.ContainsFunc(cuda.devices, func(c Info) bool { return c.Name == d.Name }) {
			l.Devices = append(l.Devices, d)
		}
	}
	for i := range l.Devices {
		l.Devices[i].Index = i
	}
	loaded := cuda.loaded || openCL.loaded
	var said []error
	for _, f := range []finding{openCL, cuda} {
		if f.loaded == loaded { // that a library is missing says nothing if another is there
			said = append(said, f.err)
		}
	}
	if err := errors.Join(said...); err != nil {
		l.Detail = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	switch {
	case len(l.Devices) > 0:
		l.State = Found
	case len(l.Closed) > 0 && loaded:
		l.State = NoPermission
	case !loaded:
		l.State = NoLibrary
	default:
		l.State = NoDevice
	}
	return l
}
