// What somebody who is not the machine's operator may do to a VM. Each right has the ones before.
#pragma once

enum right {
    RIGHT_NONE = 0, // not even know of it
    RIGHT_OBSERVE,  // how it does
    RIGHT_OPERATE,  // begin and end it, let it stand still and go on, change what it is given
    RIGHT_TAKE,     // read its memory and its registers: have it, whole
    RIGHT_MACHINE,  // all that, of all VMs, and the machine itself: the operator's
};
