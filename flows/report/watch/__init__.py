"""`mopd status --watch`: a run is looked at again and again until it ends.

look        what is seen of a run at one moment     time_left   by what was measured in this run
bars        that moment as a screen                 changes     what is told where there is no screen
loop        the command
"""
