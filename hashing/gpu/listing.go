package gpu

// Info describes a device.
type Info struct {
	// Index is its place in the listing that it comes from.
	Index int
	// Name, Vendor and Driver are what its driver says of it, Platform is the OpenCL
	// implementation that offers it.
	Name, Vendor, Driver, Platform string
	Kind                           Kind
	// Memory is the device's own, in bytes.
	Memory uint64
	// Units is how many compute units it has.
	Units int

	opener opener
}

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
	// Detail is what the loader or the driver said where there is no device; it may be
	// empty.
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
		why = "no OpenCL library on this machine"
	case NoDevice:
		why = "no OpenCL device on this machine"
	case NoPermission:
		why = "no permission to use " + l.Closed[0]
	}
	if l.Detail != "" {
		why += " (" + l.Detail + ")"
	}
	return why
}

// conclude sets the state of a listing whose other fields are set. loaded says whether
// there was a library.
func (l *Listing) conclude(loaded bool) {
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
}
