"""`mopd view`: the page served on loopback, read-only, over runs that may go on meanwhile.

serve       the command: a port, a token, an end         app         what is answered under which address
browser     the page in the browser of this host
guard       who is answered at all                       queries     SQL of the page's query box
runs        the runs that are served                     live        one of them, from moment to moment
arrivals    what came to a run, by listings              row         a run as the list of runs shows it
kept        a document that takes long
"""
