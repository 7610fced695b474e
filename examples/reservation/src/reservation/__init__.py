"""The Reservation application: two hotels, real bookings, a command model and four query models.

Where to look: `composition.py` joins everything; `reservations/` is the bounded context, one folder
a feature; `frontdesk/` is the page; `bookings/` the real data; `entrypoints/` what can be started.
"""
